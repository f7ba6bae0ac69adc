// Text in SQL, one statement after the other, as D1 takes them.

/** Splits a file of SQL whose statements end with their lines, a trigger's at its `END;`. Comments are left out. */
export function statements(text) {
  const found = [];
  let now = [];
  let quoted = false;
  for (const line of text.split('\n')) {
    let end = line.length;
    for (let at = 0; at < line.length; at++) {
      if (line[at] === "'") quoted = !quoted;
      else if (!quoted && line.startsWith('--', at)) {
        end = at;
        break;
      }
    }
    const code = quoted ? line : line.slice(0, end).trimEnd();
    if (!now.length && !code) continue;
    now.push(code);
    if (!quoted && code.endsWith(';') && (!/^CREATE TRIGGER/i.test(now[0]) || /\bEND;$/i.test(code))) {
      found.push(now.join('\n'));
      now = [];
    }
  }
  if (now.length) throw new Error(`This does not end: ${now[0].slice(0, 80)}`);
  return found;
}
