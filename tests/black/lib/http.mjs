// HTTP as an ordinary client speaks it (undici), and as bytes on a socket.
import net from 'node:net';
import { Agent } from 'undici';
import { parseHead } from './head.mjs';
import { deadline } from './wait.mjs';

export { parseHead };

// One client for a test: keeps connections alive, closed with the test.
export class Client {
  // tls: what tls.connect() takes, for an origin with https.
  constructor(origin, tls = {}) {
    this.origin = origin;
    this.agent = new Agent({ connections: 32, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000, connect: tls });
  }

  async send(method, path, { headers = {}, body } = {}) {
    // The path goes out as it is: a URL object would tidy it up.
    const answer = await this.agent.request({ origin: this.origin, method, path, headers, body });
    const text = await answer.body.text();
    let json;
    if (text !== '' && /json/.test(String(answer.headers['content-type']))) json = JSON.parse(text);
    return { status: answer.statusCode, headers: answer.headers, text, json };
  }

  get(path, headers) {
    return this.send('GET', path, { headers });
  }

  // A value is sent as JSON; text and bytes as they are.
  publish(topic, body, headers = {}) {
    const raw = typeof body === 'string' || Buffer.isBuffer(body);
    return this.send('POST', `/api/topics/${encodeURIComponent(topic)}/events`, {
      headers: { 'content-type': 'application/json', ...headers },
      body: raw ? body : JSON.stringify(body),
    });
  }

  // The ids of a publish that has to succeed.
  async published(topic, body, headers) {
    const answer = await this.publish(topic, body, headers);
    if (answer.status !== 201) throw new Error(`publish: ${answer.status} ${answer.text}`);
    return answer.json.ids;
  }

  poll(query, headers = {}) {
    return this.get(`/api/events?${query}`, { accept: 'application/json', ...headers });
  }

  close() {
    return this.agent.destroy();
  }
}

export function event(n, extra = {}) {
  return { type: 'test.counted', payload: { n }, ...extra };
}

export function events(from, to) {
  const list = [];
  for (let n = from; n <= to; n++) list.push(event(n));
  return list;
}

// A socket that sends bytes as given and reads whole responses.
export class RawHttp {
  constructor(port) {
    this.input = Buffer.alloc(0);
    this.ended = false;
    this.waiting = [];
    this.socket = net.connect({ port, host: '127.0.0.1' });
    this.socket.setNoDelay(true);
    this.socket.on('data', (data) => {
      this.input = Buffer.concat([this.input, data]);
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      const end = () => {
        this.ended = true;
        this.#wake();
        resolve();
      };
      this.socket.on('end', end);
      this.socket.on('close', end);
    });
  }

  #wake() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  #more() {
    return deadline(new Promise((resolve) => this.waiting.push(resolve)), { what: 'bytes or the end of the connection' });
  }

  // latin1, so that any byte can be written
  write(text) {
    return new Promise((resolve) => {
      this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text, () => resolve());
    });
  }

  // The next response with its body; null when the connection ended without one.
  async response({ method = 'GET' } = {}) {
    for (;;) {
      const found = parseResponse(this.input, this.ended, method);
      if (found) {
        this.input = this.input.subarray(found.end);
        return found;
      }
      if (this.ended) {
        if (this.input.length === 0) return null;
        throw new Error(`half a response: ${JSON.stringify(this.input.toString('latin1'))}`);
      }
      await this.#more();
    }
  }

  // All bytes until the other side closes.
  async rest(ms) {
    await deadline(this.closed, { what: 'the connection to be closed', ms });
    const rest = this.input;
    this.input = Buffer.alloc(0);
    return rest.toString('latin1');
  }

  destroy() {
    this.socket.destroy();
  }
}

function parseResponse(input, ended, method) {
  const end = input.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = parseHead(input.toString('latin1', 0, end));
  const start = end + 4;
  if (method === 'HEAD' || head.status === 204 || head.status === 304 || head.status < 200) {
    return { ...head, body: '', end: start };
  }
  if (/chunked/i.test(head.headers['transfer-encoding'] ?? '')) {
    let at = start;
    let body = '';
    for (;;) {
      const eol = input.indexOf('\r\n', at);
      if (eol < 0) return null;
      const size = parseInt(input.toString('latin1', at, eol), 16);
      if (input.length < eol + 2 + size + 2) return null;
      if (size === 0) return { ...head, body, end: eol + 4 };
      body += input.toString('utf8', eol + 2, eol + 2 + size);
      at = eol + 2 + size + 2;
    }
  }
  if (head.headers['content-length'] !== undefined) {
    const length = Number(head.headers['content-length']);
    if (input.length < start + length) return null;
    return { ...head, body: input.toString('utf8', start, start + length), end: start + length };
  }
  return ended ? { ...head, body: input.toString('utf8', start), end: input.length } : null;
}
