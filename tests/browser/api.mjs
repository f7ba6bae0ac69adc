/** Asks the API directly, beside the browser, so that what a screen says can be compared with what is so. */

/** @param {string} base address of the running demo */
export function api(base) {
  const url = (path) => new URL(path, base).href;

  async function call(method, path, { token, body } = {}) {
    const headers = { accept: 'application/json' };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await fetch(url(path), { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  }

  async function must(method, path, given) {
    const answer = await call(method, path, given);
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  return {
    call,
    people: () => must('GET', '/v1/demo/people'),
    /** An access token of one of the demo's people, apart from the browser's session. */
    token: async (person) => (await must('POST', '/v1/demo/sessions', { body: { person, keep: 'token' } })).access_token,
    get: (path, token) => must('GET', path, { token }),
  };
}

/** `$1,234.50` of minor units; written here anew, so that the app's own writing is checked and not repeated. */
export function dollars(minor) {
  const cents = BigInt(minor);
  const size = cents < 0n ? -cents : cents;
  const whole = (size / 100n).toLocaleString('en-US');
  return `${cents < 0n ? '\u2212' : ''}$${whole}.${String(size % 100n).padStart(2, '0')}`;
}

/** Minor units of `$1,234.50`. */
export function cents(text) {
  const match = /^(\u2212?)\$([\d,]+)\.(\d\d)$/.exec(text.trim());
  if (match === null) throw new Error(`"${text}" is not an amount`);
  const size = BigInt(match[2].replaceAll(',', '') + match[3]);
  return match[1] === '' ? size : -size;
}
