// Too much of everything: connections as fast as they can be made, no descriptors left, floods of tokens that are no good. The node
// goes on for those who are there, and takes new ones when it can again.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { story } from './lib/story.mjs';
import { converse, get, held, heldAsBefore, post, serves, statuses } from './lib/abuse.mjs';
import { Certificates } from './lib/certificates.mjs';
import { undisturbed } from './lib/healthy.mjs';
import { RawHttp } from './lib/http.mjs';
import { bearer, Issuer } from './lib/token.mjs';
import { deadline, QUICK, sleep, until } from './lib/wait.mjs';

const FEW = QUICK ? {} : { rate: 20 };

// Connections that are made as fast as this machine does it, and left in all ways; says how many.
function storm(node, ms) {
  const worker = new Worker(new URL('./lib/storm-thread.mjs', import.meta.url), { workerData: { port: node.port, ms } });
  return new Promise((resolve, reject) => {
    worker.on('message', resolve);
    worker.on('error', reject);
  });
}

async function withTls(w, set = {}) {
  const made = new Certificates(w.folder);
  const ca = readFileSync(await made.authority('ca'), 'utf8');
  const pair = await made.sign('ca', 'node', 'IP:127.0.0.1');
  const [node] = await w.cluster(1, { node: { ca, set: { ...set, tls: pair } } });
  return node;
}

for (const secure of [false, true]) {
  story(`a storm of connections, ${secure ? 'with TLS' : 'in the clear'}: the listener lives, the limits hold`, async (w) => {
    const size = secure ? (QUICK ? 60 : 300) : QUICK ? 100 : 500;
    const cap = size + 60;
    const set = { http: { max_connections: cap, request_timeout_ms: 1500 } };
    const node = secure ? await withTls(w, set) : (await w.cluster(1, { node: { set } }))[0];
    const before = await held(node);
    let most = 0;
    await undisturbed(w, node, async () => {
      let over = false;
      const watch = (async () => {
        while (!over) {
          // Who looks needs a connection as well, and may be refused.
          most = Math.max(most, (await held(node).catch(() => before)).weft_connections || 0);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      })();
      const { made, ms, refused } = await storm(node, QUICK ? 1500 : 2500);
      over = true;
      await watch;
      w.note(`${made} connections in ${ms.toFixed(0)} ms (${(made / ms * 1000).toFixed(0)}/s), ${refused} told 503; at most ${most} at once`);
      assert.ok(made > 500);
    }, { ...FEW, ...(secure ? { sse: size } : {}) });
    // Each of the two workers looks before it takes one: as many more may come in.
    assert.ok(most <= cap + 2, `${most} connections at once`);
    await heldAsBefore(node, before);
    if (!secure) await serves(w, node);
    const metrics = await node.metrics();
    w.note(`accepted ${metrics.weft_connections_accepted_total}, refused ${metrics.weft_connections_refused_total}`);
    assert.ok(metrics.weft_connections_refused_total > 0, 'the cap was reached');
  }, { timeout: 120_000 });
}

function limit(node, soft) {
  execFileSync('prlimit', ['--pid', String(node.pid), `--nofile=${soft}:`]);
}

story('no descriptors: who is there goes on, who comes waits, and Redis is found again', async (w) => {
  const [node] = await w.cluster();
  const inside = new RawHttp(node.port);
  const look = async () => {
    await inside.write(get('/metrics'));
    const { body } = await inside.response();
    return (name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(body)?.[1]);
  };
  await look();
  const waiting = [];
  await undisturbed(w, node, async (healthy) => {
    const fds = (await look())('process_open_fds');
    limit(node, fds - 20);
    for (let i = 0; i < 30; i++) waiting.push(converse(node, get('/healthz', 'Connection: close\r\n')));
    await until(async () => (await look())('weft_accept_pauses_total') > 2, { what: 'accepting to pause' });
    await healthy.enjoy(50);
    limit(node, 20_000);
    for (const said of await deadline(Promise.all(waiting), { what: 'those who waited' })) assert.deepEqual(statuses(said), [200]);
  });

  // Now all connections to Redis end while there is no descriptor for new ones.
  const stream = await w.follow(node, 'topic=t');
  const fds = (await look())('process_open_fds');
  limit(node, fds - 30);
  await w.store.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await w.store.cmd('CLIENT', 'KILL', 'TYPE', 'normal');
  await stream.waitControl('weft.degraded');
  await until(async () => {
    await inside.write(get('/readyz'));
    return (await inside.response()).status === 503;
  }, { what: 'the node to say that it is not ready' });
  limit(node, 20_000);
  await stream.waitControl('weft.recovered');
  const ids = await w.client(node).published('t', [{ type: 'a' }, { type: 'b' }]);
  assert.deepEqual((await stream.take(2)).map((e) => e.id), ids);
  const put = await until(async () => {
    const answer = await w.client(node).send('PUT', '/api/breakers/b', { headers: { 'content-type': 'application/json' }, body: '{}' });
    return answer.status < 300;
  }, { what: 'the control thread to be there again' });
  assert.ok(put);
  inside.destroy();
}, { timeout: 120_000 });

// n requests that are refused with 401, over ten connections; everyMs: the pause of each between two. What they cost the node.
async function flood(node, request, n, everyMs = 0) {
  const cpu = async () => (await node.metrics()).process_cpu_seconds_total;
  const before = await cpu();
  const began = performance.now();
  const bytes = Buffer.from(request, 'latin1');
  await Promise.all(Array.from({ length: 10 }, async () => {
    const raw = new RawHttp(node.port);
    for (let i = 0; i < n / 10; i++) {
      await raw.write(bytes);
      assert.equal((await raw.response()).status, 401);
      if (everyMs > 0) await sleep(began + (i + 1) * everyMs - performance.now());
    }
    raw.destroy();
  }));
  return { perS: n / (performance.now() - began) * 1000, us: ((await cpu()) - before) / n * 1e6 };
}

// Who checks a signature of ES256 pays for it; who makes one up does not.
story('floods of tokens that are no good, on all ways in', async (w) => {
  const issuer = new Issuer(w.folder, 'ES256');
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file } } } });
  const token = issuer.token({ publish: ['*'], subscribe: ['*'] });
  const [head, body, signature] = token.split('.');
  const forged = `${head}.${body}.${Buffer.alloc(64, 7).toString('base64url')}`;
  const long = (n) => `${head}.${'e'.repeat(n - head.length - signature.length - 2)}.${signature}`;
  const deep = issuer.sign({ alg: 'ES256', kid: 'k1' }, `{"exp":9999999999,"x":${'['.repeat(2500)}${']'.repeat(2500)}}`);
  const wide = issuer.sign({ alg: 'ES256', kid: 'k1' }, `{"exp":9999999999,"weft":{"publish":[${'"a",'.repeat(700)}"a"]}}`);
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
  const bad = {
    forged, 'other claims': `${head}.${Buffer.from('{"weft":{"publish":["*"]}}').toString('base64url')}.${signature}`, 'no algorithm': none, 'HS256 with the public key': `${Buffer.from('{"alg":"HS256","kid":"k1"}').toString('base64url')}.${body}.${signature}`,
    '8 KiB': long(8192), '9 KiB': long(9216), deep: `${deep}x`, empty: '', dots: '...', garbage: '\x80\xff'.repeat(50), 'an unknown key': `${Buffer.from('{"alg":"ES256","kid":"zz"}').toString('base64url')}.${body}.${signature}`,
  };
  const ways = [
    (t) => get('/api/topics/t', `Authorization: Bearer ${t}\r\n`), (t) => get(`/api/topics/t?token=${encodeURIComponent(t)}`), (t) => get('/api/topics/t', `Cookie: weft_token=${t}\r\n`),
    (t) => post('/api/topics/t/events', '{"type":"evil"}', `Authorization: Bearer ${t}\r\nCookie: weft_token=${t}\r\n`),
  ];
  await w.client(node).published('t', [{ type: 'there' }], bearer(token));
  const from = await w.store.cmd('XLEN', 'weft:{0}:log:t');
  const before = await held(node);
  const [signed, nonsense] = [await flood(node, ways[0](forged), 1000), await flood(node, ways[0]('nonsense'), 1000)];
  w.note(`forged tokens of ES256: ${signed.perS.toFixed(0)}/s, ${signed.us.toFixed(0)} us of the node's each; nonsense: ${nonsense.perS.toFixed(0)}/s, ${nonsense.us.toFixed(0)} us`);
  await undisturbed(w, node, async () => {
    for (const [name, text] of Object.entries(bad)) {
      for (const [i, way] of ways.entries()) {
        const said = await converse(node, way(text), { quietMs: 100 });
        const want = Buffer.byteLength(way(text)) > 16384 || /^GET \S{8193}/.test(way(text)) ? [431, 414, 401] : [401];
        assert.ok(want.includes(statuses(said)[0]), `${name}, way ${i}: ${said.slice(0, 80)}`);
      }
    }
    // Two of which one is good: the first place counts, and a bad one there is not made up for.
    for (const [first, second, want] of [[token, forged, 200], [forged, token, 401]]) {
      const said = await converse(node, get(`/api/topics/t?token=${second}`, `Authorization: Bearer ${first}\r\nCookie: weft_token=${second}\r\nConnection: close\r\n`));
      assert.deepEqual(statuses(said), [want]);
    }
    for (const cookies of [`weft_token=${forged}; `.repeat(40), 'a=b; '.repeat(2500), '='.repeat(5000), ';'.repeat(8000), 'weft_token; '.repeat(1000)]) {
      assert.deepEqual(statuses(await converse(node, get('/api/topics/t', `Cookie: ${cookies}\r\nConnection: close\r\n`))), [401]);
    }
    // Good signatures over claims that are too much.
    for (const [name, text] of Object.entries({ deep, wide })) {
      const said = await converse(node, get('/api/topics/t', `Authorization: Bearer ${text}\r\nConnection: close\r\n`));
      assert.ok([401, 403, 431].includes(statuses(said)[0]), `${name}: ${said.slice(0, 200)}`);
    }

    // A thousand a second, each a signature to check.
    await flood(node, ways[0](forged), QUICK ? 1000 : 3000, 10);
  }, { token, ...FEW });
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:t'), from);
  await heldAsBefore(node, before);
}, { timeout: 120_000 });
