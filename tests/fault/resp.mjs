// Just enough of Redis's protocol to cut a stream of replies where one ends and the next begins.

const CR = 13;
const LINES = new Set('+-:_#,('.split('').map((c) => c.charCodeAt(0)));
const BULKS = new Set('$=!'.split('').map((c) => c.charCodeAt(0)));
const LISTS = new Set('*~>'.split('').map((c) => c.charCodeAt(0)));
const MAP = '%'.charCodeAt(0);

export class RespSplitter {
  constructor() {
    this.buffer = Buffer.alloc(0);
    this.reset();
  }

  reset() {
    this.at = 0; // up to here the first reply of the buffer was looked at
    this.need = 1; // items that are still to come until it is whole
  }

  // The replies that are whole now, byte for byte; what is left waits for more.
  feed(data) {
    this.buffer = this.buffer.length === 0 ? data : Buffer.concat([this.buffer, data]);
    const whole = [];
    while (this.#scan()) {
      whole.push(this.buffer.subarray(0, this.at));
      this.buffer = this.buffer.subarray(this.at);
      this.reset();
    }
    return whole;
  }

  // Gives back what is not whole, and forgets it.
  rest() {
    const rest = this.buffer;
    this.buffer = Buffer.alloc(0);
    this.reset();
    return rest;
  }

  #scan() {
    while (this.need > 0) {
      const eol = this.#eol();
      if (eol < 0) return false;
      const kind = this.buffer[this.at];
      let next = eol + 2;
      let more = 0;
      if (!LINES.has(kind)) {
        const n = Number(this.buffer.toString('latin1', this.at + 1, eol));
        if (!Number.isInteger(n)) throw new Error(`not a length: ${this.buffer.toString('latin1', this.at, eol)}`);
        if (BULKS.has(kind)) {
          if (n >= 0) next += n + 2;
        } else if (LISTS.has(kind)) more = Math.max(n, 0);
        else if (kind === MAP) more = 2 * n;
        else throw new Error(`not a reply of Redis: byte ${kind}`);
        if (next > this.buffer.length) return false;
      }
      this.at = next;
      this.need += more - 1;
    }
    return true;
  }

  #eol() {
    let at = this.at;
    for (;;) {
      at = this.buffer.indexOf(CR, at);
      if (at < 0 || at + 1 >= this.buffer.length) return -1;
      if (this.buffer[at + 1] === 10) return at;
      at++;
    }
  }
}

const MESSAGES = ['*3\r\n$7\r\nmessage\r\n', '>3\r\n$7\r\nmessage\r\n'].map((text) => Buffer.from(text, 'latin1'));

// Is this whole reply a message of a channel?
export function isMessage(reply) {
  return MESSAGES.some((head) => reply.length > head.length && reply.subarray(0, head.length).equals(head));
}
