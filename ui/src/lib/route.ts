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
    default:
      return hash(route.page);
  }
}

/** The route of an address. An empty one is the overview; what makes no sense is `unknown`. */
export function parseRoute(address: string): Route {
  const segments = decode(address.replace(/^#?\/?/, '').replace(/[?].*$/, ''));
  const [page, first, second, ...more] = segments ?? ['unknown'];
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
