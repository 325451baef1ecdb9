// An SSE client on a bare socket, which sees each byte: framing, field order, comments, retry.
import net from 'node:net';
import tls from 'node:tls';
import { parseHead } from './head.mjs';
import { untilTold } from './wait.mjs';

// The parser of the HTML standard, section 9.2.6, fed with text.
export class SseParser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.line = '';
    this.skipLf = false;
    this.comments = 0;
    this.retry = undefined;
    this.lastId = ''; // of the last whole event
    this.idSoFar = '';
    this.#reset();
  }

  #reset() {
    this.type = '';
    this.data = [];
    this.fields = [];
  }

  feed(text) {
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c !== 10 && c !== 13) {
        this.skipLf = false;
        continue;
      }
      if (c === 10 && this.skipLf) {
        this.skipLf = false;
        from = i + 1;
        continue;
      }
      this.skipLf = c === 13;
      this.#line(this.line + text.slice(from, i));
      this.line = '';
      from = i + 1;
    }
    this.line += text.slice(from);
  }

  #line(line) {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) {
      this.comments++;
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    this.fields.push(field);
    if (field === 'event') this.type = value;
    else if (field === 'data') this.data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.idSoFar = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #dispatch() {
    this.lastId = this.idSoFar;
    if (this.data.length > 0) {
      this.onEvent({
        type: this.type || 'message',
        id: this.fields.includes('id') ? this.lastId : undefined,
        text: this.data.join('\n'),
        fields: this.fields,
      });
    }
    this.#reset();
  }
}

function ignore() {}

// What every stream is, however its bytes come. Events arrive in `all` (control events included) and `events` (the others, as objects).
export class SseReader {
  constructor({ onEvent = ignore, keep = true } = {}) {
    this.all = [];
    this.events = [];
    this.waiting = new Set();
    this.onEvent = onEvent;
    this.keep = keep; // false: only control events are kept
    this.parser = new SseParser((event) => this.#take(event));
    this.errorBody = '';
    this.closed = new Promise((resolve) => {
      this.end = () => {
        this.ended = true;
        this.wake();
        resolve();
      };
    });
  }

  wake() {
    for (const check of [...this.waiting]) check();
  }

  // Text of the body, in latin1.
  received(text) {
    if (this.head.status === 200) this.parser.feed(text);
    else this.errorBody += text;
  }

  #take(event) {
    const entry = { type: event.type, id: event.id, fields: event.fields, text: Buffer.from(event.text, 'latin1').toString('utf8') };
    entry.data = JSON.parse(entry.text);
    const control = entry.type.startsWith('weft.') || entry.data.id === undefined;
    if (control || this.keep) this.all.push(entry);
    if (!control && this.keep) this.events.push(entry.data);
    this.onEvent(entry, control);
  }

  get retry() {
    return this.parser.retry;
  }

  get comments() {
    return this.parser.comments;
  }

  // The last id that this stream gave: what a reconnecting client would send.
  get lastId() {
    return this.parser.lastId;
  }

  // Waits until look(this) returns something true; fails when the stream ends before.
  until(look, options) {
    return untilTold(this, 'stream', look, options);
  }

  summary() {
    const last = this.all.at(-1);
    return `${this.all.length} events, the last one ${last ? `${last.type} ${last.id ?? ''} ${last.text.slice(0, 120)}` : '(none)'}`;
  }

  answered() {
    return this.until(() => this.head, { what: 'a response head', mayEnd: false });
  }

  async open() {
    await this.answered();
    if (this.head.status !== 200) {
      await this.until(() => this.complete || this.ended, { what: 'the body of an error', mayEnd: true });
      throw new Error(`subscribe: ${this.head.status} ${this.errorBody}`);
    }
    await this.until(() => this.all.some((e) => e.type === 'weft.open' || e.data.stream !== undefined), { what: 'weft.open' });
    return this;
  }

  control(type) {
    return this.all.filter((e) => e.type === type);
  }

  waitControl(type, n = 1, options = {}) {
    return this.until(() => this.control(type)[n - 1], { what: `${type} number ${n}`, ...options });
  }

  take(n, options = {}) {
    return this.until(() => (this.events.length >= n ? this.events : null), { what: `${n} events`, ...options });
  }
}

// A stream on a socket of its own.
export class SseStream extends SseReader {
  constructor(node, query, { headers = {}, http = '1.1', lastEventId, accept = 'text/event-stream', secure = {}, ...options } = {}) {
    super(options);
    this.node = node;
    this.bytes = 0;
    this.headBytes = '';
    this.body = null;
    const lines = [`GET /api/events?${query} HTTP/${http}`, `Host: 127.0.0.1:${node.port}`];
    if (accept !== null) lines.push(`Accept: ${accept}`);
    if (lastEventId !== undefined) lines.push(`Last-Event-ID: ${lastEventId}`);
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    const to = { port: node.port, host: '127.0.0.1' };
    this.socket = node.ca ? tls.connect({ ...to, ca: node.ca, ...secure }) : net.connect(to);
    this.socket.on(node.ca ? 'secureConnect' : 'connect', () => this.socket.write(`${lines.join('\r\n')}\r\n\r\n`));
    this.socket.on('data', (data) => this.#feed(data));
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.on('close', this.end);
  }

  #feed(data) {
    this.bytes += data.length;
    // latin1 keeps bytes as they are; a whole SSE line is decoded when its event is complete.
    let text = data.toString('latin1');
    if (!this.head) {
      this.headBytes += text;
      const end = this.headBytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = parseHead(this.headBytes.slice(0, end));
      text = this.headBytes.slice(end + 4);
      this.body = /chunked/i.test(this.head.headers['transfer-encoding'] ?? '') ? new Chunked() : new Plain();
    }
    this.received(this.body.feed(text));
    if (this.body.done) this.complete = true;
    this.wake();
  }

  // Cuts the connection without a word.
  cut() {
    this.socket.destroy();
  }

  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }
}

class Plain {
  feed(text) {
    return text;
  }
}

// Chunked transfer coding, checked strictly.
class Chunked {
  constructor() {
    this.buffer = '';
    this.left = 0;
    this.state = 'size';
    this.done = false;
  }

  feed(text) {
    this.buffer += text;
    let out = '';
    for (;;) {
      if (this.state === 'size') {
        const eol = this.buffer.indexOf('\r\n');
        if (eol < 0) return out;
        const size = this.buffer.slice(0, eol);
        if (!/^[0-9a-fA-F]+$/.test(size)) throw new Error(`not a chunk size: ${JSON.stringify(size)}`);
        this.left = parseInt(size, 16);
        this.buffer = this.buffer.slice(eol + 2);
        this.state = this.left === 0 ? 'last' : 'data';
      } else if (this.state === 'data') {
        const part = this.buffer.slice(0, this.left);
        out += part;
        this.left -= part.length;
        this.buffer = this.buffer.slice(part.length);
        if (this.left > 0) return out;
        this.state = 'crlf';
      } else {
        if (this.buffer.length < 2) return out;
        if (!this.buffer.startsWith('\r\n')) throw new Error('a chunk does not end with CRLF');
        this.buffer = this.buffer.slice(2);
        this.done = this.state === 'last';
        if (this.done) return out;
        this.state = 'size';
      }
    }
  }
}
