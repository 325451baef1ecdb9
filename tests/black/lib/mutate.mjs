// Valid requests and WebSocket messages of every kind, and what chance makes of them.
import { execFileSync } from 'node:child_process';
import { bin } from './node.mjs';
import { frame, TEXT } from './ws.mjs';

const EVENT = { type: 'test.made', payload: { n: 1, s: 'x', list: [1, 2.5e3, null, true] }, topics: ['t', 'u'] };
const TAKE = { tokens: 1 };
const BODIES = {
  'POST /api/topics/{topic}/events': [EVENT, [EVENT, EVENT], { events: [EVENT] }],
  'PUT /api/breakers/{name}': [{ failure_threshold: 5, timeout_ms: 30000 }, {}],
  'POST /api/breakers/{name}/acquire': [{}],
  'POST /api/breakers/{name}/report': [{ outcome: 'failure', latency_ms: 1200, permit: 'p' }],
  'POST /api/breakers/{name}/force': [{ state: 'auto' }],
  'POST /api/limits/take': [{ take: [{ bucket: 'a', tokens: 1 }, { bucket: 'b', tokens: 2 }] }],
  'PUT /api/limits/{bucket}': [{ capacity: 10, refill_per_s: 5, mode: 'leased', dry_run: false }],
  'POST /api/limits/{bucket}/take': [TAKE],
  'POST /api/streams/{stream}/topics': [{ add: ['t'], remove: ['u'] }],
  'POST /api/streams/{stream}/token': [{ token: 'a.b.c' }],
  'PUT /api/revocations/{jti}': [{ seconds: 5 }],
  // A program that nobody is allowed to run: nothing is started or asked, whatever becomes of it.
  'PUT /api/services/{id}': [{ kind: 'command', command: ['/nowhere/none', '--x'], restart: 'on_failure' }],
};
const QUERIES = {
  '/api/events': ['topic=t&topic=u*&types=test.*&since=-5m', 'topic=t&lastEventId=1-1&named=0&slow=latest', 'topic=t&since=earliest&wait_ms=5&limit=3'],
  '/api/topics': ['prefix=t&after=a&limit=5'],
  '/api/topics/{topic}/events': ['after=1-1&limit=3', 'order=desc&limit=2'],
  '/api/connections': ['sort=lag&limit=3'],
  '/api/limits/{bucket}/check': ['tokens=1&refused=503'],
};
const HEADERS = [
  'Accept: text/event-stream', 'Accept: application/json;q=0.5, */*', 'Last-Event-ID: 1795314948063-41', 'Idempotency-Key: key-1', 'Producer-Id: p', 'Producer-Epoch: 1', 'Producer-Seq: 0',
  'Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln', 'Cookie: a=b; weft_token=a.b.c; c=d', 'Origin: http://127.0.0.1', 'X-Request-Id: r-1', 'X-Forwarded-For: 192.0.2.1, 192.0.2.2',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'Expect: 100-continue', 'Content-Encoding: gzip', 'Range: bytes=0-5', 'If-None-Match: "x"', 'ce-specversion: 1.0', 'ce-id: 1', 'ce-source: s', 'ce-type: t',
  'Upgrade: websocket', 'Connection: Upgrade', 'Connection: close', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Protocol: weft.v1, weft.token.a.b.c', 'User-Agent: test/1.0',
  'Access-Control-Request-Method: POST', 'Ratelimit: 1',
];
const NUMBERS = ['0', '-1', '1', '255', '65536', '2147483648', '4294967296', '9007199254740993', '18446744073709551616', '1e308', '-0', '1e999', '0x10', '1'.repeat(400), 'NaN', '00000000000000000001'];
const PIECES = ['\r\n', '\n', '\r\n\r\n', '\0', ':', ' ', '\t', '%', '%00', '%0d%0a', '/', '//', '..', '?', '&', '=', '"', '\\', '{', '}', '[', ']', ',', '\\u0000', '\\ud800', '\xff', '\xc0\x80', '*', 'Transfer-Encoding: chunked\r\n', 'Content-Length: 5\r\n', 'Host: y\r\n', 'weft.open', '--', '0\r\n\r\n', 'ffffffff\r\n'];

// Every method and path of the node, with parameters, headers and body that are right.
export function requests(random) {
  const list = [];
  for (const line of execFileSync(bin('weftd'), ['--print-routes'], { encoding: 'utf8' }).trim().split('\n')) {
    const [method, path] = line.split(' ');
    const bodies = BODIES[line] ?? [undefined];
    for (const body of bodies) {
      for (const query of [undefined, ...(QUERIES[path] ?? [])]) {
        const target = path.replace(/\{\w+\}/g, 'name') + (query ? `?${query}` : '');
        list.push(() => build(random, method, target, body));
      }
    }
  }
  return list;
}

function build(random, method, target, body) {
  const headers = ['Host: x', ...random.some(HEADERS, random.below(5))];
  let text = '';
  if (body !== undefined) {
    text = JSON.stringify(body);
    headers.push('Content-Type: application/json');
    if (random.chance(0.2)) {
      const cut = random.below(text.length);
      headers.push('Transfer-Encoding: chunked');
      text = [text.slice(0, cut), text.slice(cut)].filter((part) => part).map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('') + '0\r\n\r\n';
    } else {
      headers.push(`Content-Length: ${text.length}`);
    }
  }
  const order = random.some(headers, headers.length);
  return `${method} ${target} HTTP/1.${random.chance(0.95) ? 1 : 0}\r\n${order.join('\r\n')}\r\n\r\n${text}`;
}

// One thing that goes wrong with a text (latin1).
export function mutate(random, text, other) {
  if (text === '') return other;
  const at = random.below(text.length + 1);
  const span = random.between(1, random.chance(0.8) ? 8 : 200);
  switch (random.below(12)) {
    case 0: return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at % text.length) ^ (1 << random.below(8))) + text.slice(at + 1);
    case 1: return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at);
    case 2: return text.slice(0, at) + text.slice(at + span);
    case 3: return text.slice(0, at) + text.slice(at, at + span).repeat(random.between(2, 5)) + text.slice(at + span);
    case 4: return text.slice(0, at) + other.slice(random.below(other.length));
    case 5: return text.slice(0, at) + random.pick(PIECES) + text.slice(at);
    case 6: return text.slice(0, at) + random.pick(PIECES) + text.slice(at + span);
    case 7: {
      const numbers = [...text.matchAll(/\d+/g)];
      const n = random.pick(numbers);
      if (!n) return text + random.pick(NUMBERS);
      return text.slice(0, n.index) + random.pick(NUMBERS) + text.slice(n.index + n[0].length);
    }
    case 8: {
      const [first, ...lines] = text.split('\r\n');
      return [first, ...random.some(lines, lines.length)].join('\r\n');
    }
    case 9: {
      const lines = text.split('\r\n');
      lines.splice(random.below(lines.length), 0, random.pick(lines), random.pick(HEADERS));
      return lines.join('\r\n');
    }
    case 10: return text.slice(0, at);
    default: return text.slice(0, at) + String.fromCharCode(random.below(256)).repeat(random.between(1, 3000)) + text.slice(at);
  }
}

const OPS = [
  { op: 'subscribe', request: 'r1', topics: ['t', 'u*'], types: ['test.*'], subscription: 's1', since: '-5m', slow: 'latest' },
  { op: 'subscribe', topics: ['t'], cursor: '1795314948063-41' },
  { op: 'unsubscribe', request: 'r2', subscription: 's1' },
  { op: 'publish', request: 'r3', topic: 't', event: EVENT },
  { op: 'publish', topic: 't', events: [EVENT, EVENT], key: 'k', ack: 'replicas:1' },
  { op: 'publish', topic: 't', event: EVENT, producer: { id: 'p', epoch: 1, seq: 0 } },
  { op: 'auth', token: 'a.b.c' },
  { op: 'ping', request: 'r4' },
];

// Frames of one message, of which one thing or another may be wrong.
export function messages(random) {
  let text = JSON.stringify(random.pick(OPS));
  if (random.chance(0.6)) text = mutate(random, text, JSON.stringify(random.pick(OPS)));
  const data = Buffer.from(text, random.chance(0.5) ? 'latin1' : 'utf8');
  const opcode = random.chance(0.8) ? TEXT : random.below(16);
  const wrong = () => ({ rsv: random.chance(0.05) ? random.below(8) : 0, mask: random.chance(0.97), length: random.chance(0.05) ? random.pick([7, 16, 64]) : undefined });
  const parts = random.chance(0.7) ? 1 : random.between(2, 4);
  const frames = [];
  for (let i = 0; i < parts; i++) {
    const from = Math.floor((data.length * i) / parts);
    const to = Math.floor((data.length * (i + 1)) / parts);
    if (random.chance(0.1)) frames.push(frame(random.pick([8, 9, 10]), data.subarray(0, random.below(140)), wrong()));
    const options = wrong();
    const part = data.subarray(from, to);
    // A length of seven bits has no room for more.
    if (options.length === 7 && part.length > 125) options.length = undefined;
    frames.push(frame(i === 0 ? opcode : random.chance(0.95) ? 0 : opcode, part, { ...options, fin: i === parts - 1 ? random.chance(0.97) : random.chance(0.03) }));
  }
  let bytes = Buffer.concat(frames);
  if (random.chance(0.15)) bytes[random.below(Math.min(14, bytes.length))] ^= 1 << random.below(8);
  if (random.chance(0.05)) bytes = bytes.subarray(0, random.below(bytes.length));
  return bytes;
}
