// The proxy that breaks connections to Redis: it cuts replies exactly where they end, takes away only messages of channels,
// and every other byte comes out as it went in, however it is cut into pieces.
import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { RespSplitter, isMessage } from './resp.mjs';
import { Proxy } from './proxy.mjs';
import { Random } from '../black/lib/random.mjs';
import { until } from '../black/lib/wait.mjs';

const REPLIES = [
  '+OK\r\n', '-ERR no\r\n', ':42\r\n', '$-1\r\n', '*-1\r\n', '$0\r\n\r\n', '$5\r\na\r\nb\r\r\n', '*0\r\n',
  '*2\r\n$3\r\nfoo\r\n*2\r\n:1\r\n$4\r\n\r\n\r\n\r\n', '*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n',
  '*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$11\r\n*3\r\n$7\r\nxyz\r\n', '%1\r\n+a\r\n*1\r\n:2\r\n', '_\r\n', '>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n',
].map((text) => Buffer.from(text, 'latin1'));

test('replies are cut where they end, in whatever pieces they come', () => {
  const random = new Random(7);
  for (let round = 0; round < 300; round++) {
    const sent = Array.from({ length: 40 }, () => random.pick(REPLIES));
    const bytes = Buffer.concat(sent);
    const splitter = new RespSplitter();
    const got = [];
    for (let at = 0; at < bytes.length;) {
      const size = random.between(1, round % 2 ? 3 : 60);
      got.push(...splitter.feed(bytes.subarray(at, at + size)));
      at += size;
    }
    assert.deepEqual(got.map(String), sent.map(String));
    assert.equal(splitter.rest().length, 0);
  }
});

test('what is not whole is given back', () => {
  const splitter = new RespSplitter();
  assert.deepEqual(splitter.feed(Buffer.from('+OK\r\n*2\r\n:1\r\n')).map(String), ['+OK\r\n']);
  assert.equal(String(splitter.rest()), '*2\r\n:1\r\n');
  assert.deepEqual(splitter.feed(Buffer.from(':7\r\n')).map(String), [':7\r\n']);
});

test('messages of channels are known by their form, not by what they hold', () => {
  assert.deepEqual(REPLIES.map((reply, i) => (isMessage(reply) ? i : null)).filter((i) => i !== null), [10, 13]);
  assert.throws(() => new RespSplitter().feed(Buffer.from('HTTP/1.1 200 OK\r\n')));
});

// A server that says what it is told to, behind a proxy.
async function world(t, rules) {
  const sockets = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.heard = '';
    socket.on('data', (data) => (socket.heard += data));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await new Proxy(new Random(5), { port: server.address().port, host: '127.0.0.1' }).listen();
  proxy.set(rules);
  t.after(async () => {
    await proxy.close();
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  const connect = async () => {
    const client = net.connect(proxy.port, '127.0.0.1');
    t.after(() => client.destroy());
    client.heard = '';
    client.on('data', (data) => (client.heard += data));
    client.on('error', () => {});
    client.on('close', () => (client.gone = true));
    const n = sockets.length;
    await until(() => sockets.length > n, { what: 'the connection' });
    return { client, server: sockets[n] };
  };
  return { proxy, connect };
}

const SUBSCRIBE = '*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n';
const message = (n) => `*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$${String(n).length}\r\n${n}\r\n`;

test('dropped messages are gone, everything else is there', async (t) => {
  const { proxy, connect } = await world(t, { drop: 0.5 });
  const { client, server } = await connect();
  client.write(SUBSCRIBE);
  await until(() => server.heard === SUBSCRIBE, { what: 'the request' });
  for (let n = 0; n < 100; n++) server.write(`${message(n)}+${n}\r\n`);
  await until(() => client.heard.endsWith('+99\r\n'), { what: 'the end' });
  assert.ok(proxy.dropped > 20 && proxy.dropped < 80, `${proxy.dropped}`);
  assert.equal(client.heard.match(/message/g).length, 100 - proxy.dropped);
  for (let n = 0; n < 100; n++) assert.ok(client.heard.includes(`+${n}\r\n`));
});

test('slices and delays change no byte and no order', async (t) => {
  for (const rules of [{ slice: true }, { delayMs: 30 }, { slice: true, delayMs: 10 }]) {
    const { proxy, connect } = await world(t, rules);
    const { client, server } = await connect();
    const text = Array.from({ length: 50 }, (_, n) => message(n)).join('');
    server.write(text.slice(0, 333));
    server.write(text.slice(333));
    await until(() => client.heard.length > 100, { what: 'some' });
    proxy.heal();
    server.write('+last\r\n');
    await until(() => client.heard.endsWith('+last\r\n'), { what: 'all' });
    assert.equal(client.heard, `${text}+last\r\n`);
  }
});

test('a hole swallows, a freeze only holds', async (t) => {
  const { proxy, connect } = await world(t, {});
  const { client, server } = await connect();
  proxy.set({ freeze: true });
  server.write('+a\r\n');
  client.write('x');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(client.heard + server.heard, '');
  proxy.heal();
  await until(() => client.heard === '+a\r\n' && server.heard === 'x', { what: 'what was held' });
  proxy.set({ hole: true });
  server.write('+b\r\n');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(!client.gone);
  proxy.heal();
  await until(() => client.gone, { what: 'the end of the connection' });
  assert.equal(client.heard, '+a\r\n');
});

test('kinds are known by what they say, and rules hold for theirs only', async (t) => {
  const { proxy, connect } = await world(t, {});
  const link = await connect();
  link.client.write('*1\r\n$4\r\nPING\r\n');
  link.server.write('+PONG\r\n');
  link.client.write('*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n6379\r\n');
  const node = await connect();
  node.client.write(SUBSCRIBE);
  await until(() => [...proxy.pairs].map((pair) => pair.kind).sort().join() === 'link,live', { what: 'their kinds' });
  link.server.write('$5\r\n\u0001\u0002$*x'); // the beginning of an RDB is no reply
  await until(() => link.client.heard.endsWith('$*x'), { what: 'raw bytes' });
  proxy.set({ hole: true }, ['link']);
  link.server.write('more');
  node.server.write('+OK\r\n');
  await until(() => node.client.heard === '+OK\r\n', { what: 'the node to be served' });
  assert.ok(!link.client.heard.includes('more'));
  proxy.cut(['live']);
  await until(() => node.client.gone, { what: 'the cut' });
  assert.ok(!link.client.gone);
});

test('half open: the server is gone and the client does not know', async (t) => {
  const { proxy, connect } = await world(t, {});
  const { client, server } = await connect();
  const end = proxy.halfOpen();
  await until(() => server.closed || server.destroyed || server.readableEnded, { what: 'the server side to end' });
  client.write('x');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(!client.gone);
  end();
  await until(() => client.gone, { what: 'the client side to end' });
});
