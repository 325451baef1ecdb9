// The head of an HTTP response, from its text.
export function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const match = /^HTTP\/(1\.[01]) (\d{3})/.exec(first);
  if (!match) throw new Error(`not a status line: ${JSON.stringify(first)}`);
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { version: match[1], status: Number(match[2]), headers };
}
