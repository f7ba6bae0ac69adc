/** Where the person is: one value for every address, and back. */
export type Route =
  | { page: 'sign-in' }
  | { page: 'join' }
  | { page: 'confirmed' }
  | { page: 'overview' }
  | { page: 'links' }
  | { page: 'clients'; referral: string | null }
  | { page: 'what-if' }
  | { page: 'payouts'; item: string | null }
  | { page: 'resources' }
  | { page: 'material' }
  | { page: 'runs' }
  | { page: 'run'; run: string; item: string | null }
  | { page: 'reconciliation' }
  /** `find` is what is filtered by, as in the address: `kind=burst&agency=PARTNER_1`. */
  | { page: 'reviews'; find: string }
  | { page: 'partners'; find: string }
  | { page: 'partner'; partner: string }
  | { page: 'settings' }
  | { page: 'unknown' };

/** The address of a route, `#/clients/r_8K2`. */
export function href(route: Route): string {
  switch (route.page) {
    case 'clients':
      return hash('clients', route.referral);
    case 'payouts':
      return hash('payouts', route.item);
    case 'run':
      return hash('runs', route.run, route.item);
    case 'reviews':
    case 'partners':
      return hash(route.page) + (route.find === '' ? '' : `?${route.find}`);
    case 'partner':
      return hash('partners', route.partner);
    default:
      return hash(route.page);
  }
}

/** The route of an address. An empty one is the overview; what makes no sense is `unknown`. */
export function parseRoute(address: string): Route {
  const segments = decode(address.replace(/^#?\/?/, '').replace(/[?].*$/, ''));
  const [page, first, second, ...more] = segments ?? ['unknown'];
  // In one form, whoever wrote it.
  const find = new URLSearchParams(/[?](.*)$/s.exec(address)?.[1] ?? '').toString();
  if (more.length > 0) return { page: 'unknown' };
  switch (page) {
    case '':
      return { page: 'overview' };
    case 'sign-in':
    case 'join':
    case 'confirmed':
    case 'overview':
    case 'links':
    case 'what-if':
    case 'resources':
    case 'material':
    case 'reconciliation':
    case 'settings':
      return first === undefined ? { page } : { page: 'unknown' };
    case 'clients':
      return second === undefined ? { page, referral: first ?? null } : { page: 'unknown' };
    case 'payouts':
      return second === undefined ? { page, item: first ?? null } : { page: 'unknown' };
    case 'reviews':
      return first === undefined ? { page, find } : { page: 'unknown' };
    case 'partners':
      if (first === undefined) return { page, find };
      return second === undefined ? { page: 'partner', partner: first } : { page: 'unknown' };
    case 'runs':
      return first === undefined ? { page } : { page: 'run', run: first, item: second ?? null };
    default:
      return { page: 'unknown' };
  }
}

function hash(...segments: (string | null)[]): string {
  const path = segments.filter((segment) => segment !== null).map((segment) => encodeURIComponent(segment.toWellFormed()));
  return `#/${path.join('/')}`;
}

function decode(path: string): string[] | null {
  try {
    const segments = path.split('/').map(decodeURIComponent);
    return segments.length > 1 && segments.includes('') ? null : segments;
  } catch {
    return null;
  }
}
