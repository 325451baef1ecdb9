// CR, LF and NUL, raw and in every escape, in every part of every request and message: none of them comes out again as a header
// of an answer, a line of an event stream or a line of a log. And authorisation asks about what a name is, however it is spelled.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { story } from './lib/story.mjs';
import { converse, each, get, held, heldAsBefore, JSON_TYPE, post, serves, statuses } from './lib/abuse.mjs';
import { undisturbed } from './lib/healthy.mjs';
import { bin, logLine } from './lib/node.mjs';
import { bearer, Issuer } from './lib/token.mjs';
import { QUICK } from './lib/wait.mjs';
import { frame, TEXT } from './lib/ws.mjs';

const FEW = QUICK ? {} : { rate: 20 };
const MARK = 'x-injected';
// What each line break is to make of the rest: a header, a field of SSE, a line of a log.
const TAILS = [`${MARK}: yes`, 'data: injected', '{"event":"injected"}'];
const BREAKS = ['\r\n', '\n', '\r', '\0', '\n\n', '\r\n\r\n'];
const percent = (text) => [...text].map((c) => (/[a-z0-9:-]/.test(c) ? c : `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`)).join('');
const json = (text) => JSON.stringify(text).slice(1, -1);
const EVILS = BREAKS.flatMap((b) => TAILS.map((tail) => `a${b}${tail}`));
const CLOSE = 'Connection: close\r\n';
const NAMES = ['Host', 'Accept', 'Last-Event-ID', 'Idempotency-Key', 'Producer-Id', 'Producer-Epoch', 'Producer-Seq', 'Authorization', 'Cookie', 'Origin', 'X-Request-Id', 'X-Forwarded-For', 'traceparent', 'User-Agent', 'Content-Type', 'Content-Length',
  'Transfer-Encoding', 'Expect', 'Upgrade', 'Connection', 'Sec-WebSocket-Key', 'Sec-WebSocket-Protocol', 'Access-Control-Request-Method', 'ce-type', 'ce-id', 'If-None-Match', 'Range'];
const PARAMETERS = ['topic', 'types', 'since', 'lastEventId', 'slow', 'named', 'limit', 'wait_ms', 'after', 'before', 'order', 'prefix', 'sort', 'ack', 'tokens', 'refused', 'token', 'access_token'];
const FIELDS = ['type', 'source', 'task_id', 'agent_id', 'request_id', 'trace_id', 'traceparent', 'tracestate', 'id', 'subject', 'time', 'topic', 'op', 'request', 'subscription', 'cursor', 'since', 'slow', 'key', 'ack', 'token', 'outcome', 'permit', 'state', 'mode',
  'kind', 'url', 'restart', 'bucket', 'reason', 'without_redis'];

function routes() {
  return execFileSync(bin('weftd'), ['--print-routes'], { encoding: 'utf8' }).trim().split('\n').map((line) => line.split(' '));
}

function* attempts() {
  const all = routes();
  for (const evil of EVILS) {
    for (const [method, route] of all) {
      const to = (name) => route.replace(/\{\w+\}/g, name);
      // A segment of the path, each in turn.
      for (const text of [percent(evil), percent(percent(evil)), evil]) {
        const target = to(text);
        if (target !== route) yield `${method} ${target} HTTP/1.1\r\nHost: x\r\n${CLOSE}${JSON_TYPE}Content-Length: 2\r\n\r\n{}`;
      }
      // A parameter, value and name.
      const name = PARAMETERS[(evil.length * 7 + route.length) % PARAMETERS.length];
      yield `${method} ${to('t')}?${name}=${percent(evil)}&${percent(evil)}=1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n${CLOSE}\r\n`;
    }
    for (const name of PARAMETERS) {
      yield get(`/api/events?topic=t&${name}=${percent(evil)}`, `Accept: text/event-stream\r\n${CLOSE}`);
      yield get(`/api/topics/t/events?${name}=${percent(evil)}`, CLOSE);
    }
    for (const name of NAMES) {
      for (const text of [evil, percent(evil)]) {
        yield `GET /api/events?topic=t HTTP/1.1\r\n${name === 'Host' ? '' : 'Host: x\r\n'}${name}: ${text}\r\nAccept: text/event-stream\r\n${CLOSE}\r\n`;
        yield `POST /api/topics/t/events HTTP/1.1\r\n${name === 'Host' ? '' : 'Host: x\r\n'}${name}: ${text}\r\n${name === 'Content-Type' ? '' : JSON_TYPE}${CLOSE}${name === 'Content-Length' ? '' : 'Content-Length: 12\r\n'}\r\n{"type":"a"}`;
      }
    }
    for (const name of FIELDS) {
      for (const text of [json(evil), evil]) {
        const member = `"${name}":"${text}"`;
        for (const body of [`{"type":"a",${member}}`, `{"type":"a","payload":{${member}}}`, `{"type":"a","payload":{"${text}":1}}`, `{${member}}`]) yield post('/api/topics/t/events', body, CLOSE);
        for (const [method, route] of [['PUT', '/api/breakers/b'], ['POST', '/api/breakers/b/report'], ['POST', '/api/breakers/b/force'], ['PUT', '/api/limits/b'], ['POST', '/api/limits/take'], ['PUT', '/api/services/s'], ['PUT', '/api/revocations/j']]) {
          if (name !== 'url' && name !== 'kind') yield post(route, `{${member}}`, CLOSE).replace('POST', method);
        }
      }
    }
  }
}

const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

function* sockets() {
  for (const evil of EVILS) {
    const list = [];
    for (const name of FIELDS) {
      for (const text of [json(evil), evil]) {
        const member = `"${name}":"${text}"`;
        for (const op of ['"op":"subscribe","topics":["t"]', '"op":"publish","topic":"t","event":{"type":"a"}', '"op":"ping"', '"op":"auth"', '"op":"unsubscribe"']) list.push(`{${op},${member}}`);
        list.push(`{"op":"publish","topic":"t","event":{"type":"a",${member}}}`, `{"op":"subscribe","topics":["${text}"]}`);
      }
    }
    yield Buffer.concat([Buffer.from(UPGRADE), ...list.map((text) => frame(TEXT, text)), frame(8, '')]);
  }
}

// The heads of what was said; bodies may say anything, as JSON.
function headsOf(said) {
  return said.split(/(?=HTTP\/1\.1 \d{3} )/).map((text) => text.slice(0, text.indexOf('\r\n\r\n') + 2));
}

story('CR, LF and NUL in every field of everything: no line of their own anywhere', async (w) => {
  const file = path.join(w.folder, 'access.log');
  const [node] = await w.cluster(1, { node: { set: { access_log: { path: file }, limits: { api_proxies: 1 }, http: { cors_origins: '*', request_timeout_ms: 2000 }, sse: { max_lifetime_ms: 0 } } } });
  const before = await held(node);
  const all = [...attempts()];
  const some = QUICK ? w.random().some(all, 3000) : all;
  const watchers = await Promise.all([w.follow(node, 'topic=*'), w.follow(node, 'topic=t&named=0')]);
  const seen = { 1: 0, 2: 0, 4: 0, 5: 0 };
  await undisturbed(w, node, async () => {
    const failures = [];
    await each([...some, ...sockets()], 32, async (bytes) => {
      const said = await converse(node, bytes, { quietMs: 20 });
      for (const status of statuses(said)) seen[Math.floor(status / 100)]++;
      if (headsOf(said).some((head) => new RegExp(`(^|[\\r\\n\\0])(${MARK}|data: inj|\\{"event":"inj)`, 'i').test(head))) failures.push(`head: ${JSON.stringify(said.slice(0, 600))}`);
      if (/[\r\n\0](data: injected|x-injected: yes|\{"event":"injected"\})/.test(said)) failures.push(`body: ${JSON.stringify(said.slice(0, 600))}`);
    });
    w.note(`${some.length} requests; ${JSON.stringify(seen)}`);
    assert.deepEqual(failures.slice(0, 5), []);
  }, FEW);
  const [last] = await w.client(node).published('t', [{ type: 'over' }]);
  for (const stream of watchers) {
    await stream.until(() => stream.all.some((e) => e.id === last), { what: 'the last event' });
    for (const event of stream.all) {
      assert.doesNotMatch(event.text, /^injected/m);
      assert.ok(event.fields.every((field) => ['id', 'event', 'data'].includes(field)), event.fields.join());
    }
    stream.cut();
  }
  await heldAsBefore(node, { ...before });
  for (const { text } of node.program.lines) {
    assert.doesNotMatch(text, /[\0-\x1f\x7f]/);
    assert.notEqual(logLine(text)?.event, 'injected');
    assert.ok(!text.startsWith(MARK) && !text.startsWith('data:'), text);
  }
  const lines = readFileSync(file, 'latin1').split('\n').slice(0, -1);
  assert.ok(lines.length > some.length / 3);
  for (const line of lines) {
    const { event } = JSON.parse(line);
    assert.ok(['request', 'stream.begin', 'stream.end'].includes(event), line);
    assert.doesNotMatch(line, /[\0-\x1f\x7f]/);
  }
  assert.ok(seen[2] > 100 && seen[4] > 100, JSON.stringify(seen));
  await serves(w, node);
}, { timeout: 240_000 });

story('however a topic is spelled, the grant is asked about the topic', async (w) => {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file } } } });
  const token = issuer.token({ publish: ['open', 'open:*'], subscribe: ['open', 'open:*', 'steady'] });
  const api = w.client(node);
  const every = issuer.token({ publish: ['*'], subscribe: ['*'] });
  for (const topic of ['secret', 'Open', 'open', 'open:1']) await api.published(topic, [{ type: 'there' }], bearer(every));
  const lines = `Authorization: Bearer ${token}\r\n${CLOSE}`;
  const length = async (topic) => Number(await w.store.cmd('XLEN', `weft:{0}:log:${topic}`));
  // The first of a pair is what may be done, the second spellings of what may not.
  const secret = ['secret', '%73ecret', '%73%65%63%72%65%74', 'sec%72et', 'Open', '%4fpen', 'OPEN', 'open%00', 'open%2f', 'open%2f..%2fsecret', 'open%2e', 'open.', 'open;x', '%2a', 'open%25', 'open%2573', 'o\u0440en', '%6fpen%20', 'opem', 'ope', 'openx', '.open', '%3aopen'];
  for (const spelled of ['open', '%6fpen', '%6F%70%65%6E', 'open:1', 'open%3a1', 'open%3A%31']) {
    assert.deepEqual(statuses(await converse(node, post(`/api/topics/${spelled}/events`, '{"type":"a"}', lines))), [201], spelled);
    assert.deepEqual(statuses(await converse(node, get(`/api/topics/${spelled}/events`, lines))), [200], spelled);
    assert.deepEqual(statuses(await converse(node, get(`/api/events?topic=${spelled}&since=earliest`, `Accept: application/json\r\n${lines}`))), [200], spelled);
  }
  const [before, beforeOpen] = [await length('secret'), await length('Open')];
  for (const spelled of secret) {
    for (const bytes of [
      post(`/api/topics/${spelled}/events`, '{"type":"a"}', lines), get(`/api/topics/${spelled}/events`, lines), get(`/api/topics/${spelled}`, lines),
      get(`/api/events?topic=${spelled}&since=earliest`, `Accept: application/json\r\n${lines}`), get(`/api/events?topic=open&topic=${spelled}&since=earliest`, `Accept: text/event-stream\r\n${lines}`),
      get(`/api/topics?prefix=${spelled}`, lines),
    ]) {
      const said = await converse(node, bytes);
      const [status] = statuses(said);
      assert.ok([400, 403, 404].includes(status), `${JSON.stringify(bytes.slice(0, 80))}: ${status} ${said.slice(-200)}`);
    }
  }
  for (const body of ['{"type":"a","topics":["open","secret"]}', '{"type":"a","topics":["\\u0073ecret"]}', '[{"type":"a"},{"type":"a","topics":["open","sec\\u0072et"]}]', '{"type":"a","topics":["open"],"topics":["secret"]}', '{"type":"a","\\u0074opics":["secret"]}', '{"type":"a","Topics":["secret"]}']) {
    const said = await converse(node, post('/api/topics/open/events', body, lines));
    assert.ok([400, 403].includes(statuses(said)[0]), `${body}: ${said.slice(0, 100)}`);
  }
  const ws = await w.ws(node, { headers: { Authorization: `Bearer ${token}` } });
  for (const text of ['secret', '\\u0073ecret', 'Open', 'open\\u0000', 'ope*', '*', 'o*']) {
    for (const message of [`{"op":"subscribe","request":"q","topics":["open","${text}"]}`, `{"op":"publish","request":"q","topic":"${text}","event":{"type":"a"}}`, `{"op":"publish","request":"q","topic":"open","event":{"type":"a","topics":["open","${text}"]}}`]) {
      const n = ws.all.length;
      ws.send(message);
      const answer = await ws.until(() => ws.all[n], { what: 'an answer' });
      assert.equal(answer.type, 'weft.error', `${message}: ${JSON.stringify(answer)}`);
      assert.match(answer.error?.code ?? answer.code ?? JSON.stringify(answer), /forbidden|invalid/);
    }
  }
  assert.deepEqual([await length('secret'), await length('Open')], [before, beforeOpen]);
}, { timeout: 120_000 });
