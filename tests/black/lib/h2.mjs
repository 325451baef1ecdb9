// HTTP/2 with TLS, as a browser has it: one connection, many streams on it.
import http2 from 'node:http2';
import { SseReader } from './sse.mjs';
import { deadline } from './wait.mjs';

export class H2Stream extends SseReader {
  constructor(request, options) {
    super(options);
    this.request = request;
    request.on('response', (headers) => {
      this.head = { version: '2', status: headers[':status'], headers };
      this.wake();
    });
    request.on('data', (data) => {
      this.received(data.toString('latin1'));
      this.wake();
    });
    request.on('end', () => {
      this.complete = true;
      this.wake();
    });
    request.on('error', (error) => {
      this.error = error;
    });
    request.on('close', this.end);
  }

  // Takes this stream off the connection.
  cut() {
    this.request.close(http2.constants.NGHTTP2_CANCEL);
  }
}

export class H2Client {
  constructor(origin, ca) {
    this.session = http2.connect(origin, { ca });
    this.session.on('error', (error) => {
      this.error = error;
    });
    this.closed = new Promise((resolve) => this.session.on('close', resolve));
  }

  get usable() {
    return !this.session.closed && !this.session.destroyed;
  }

  follow(query, { lastEventId, headers = {}, ...options } = {}) {
    const last = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const request = this.session.request({ ':path': `/api/events?${query}`, accept: 'text/event-stream', ...last, ...headers });
    return new H2Stream(request, options);
  }

  // One request and its whole answer.
  async send(method, path, { headers = {}, body = '' } = {}) {
    const request = this.session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === '' });
    const answer = { text: '' };
    const done = new Promise((resolve, reject) => {
      request.on('response', (head) => Object.assign(answer, { status: head[':status'], headers: head }));
      request.on('data', (data) => (answer.text += data));
      request.on('error', reject);
      request.on('close', () => (answer.status ? resolve() : reject(new Error(`${method} ${path}: no answer`))));
    });
    if (body !== '') request.end(body);
    await deadline(done, { what: `${method} ${path}`, ms: 30_000 });
    if (/json/.test(String(answer.headers['content-type'])) && answer.text !== '') answer.json = JSON.parse(answer.text);
    return answer;
  }

  get(path, headers) {
    return this.send('GET', path, { headers });
  }

  // Cuts the connection without a word.
  cut() {
    this.session.destroy();
  }

  close() {
    this.session.destroy();
    return this.closed;
  }
}
