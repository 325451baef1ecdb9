// Bad input. Whatever is wrong with a request, the answer is a 4xx problem+json that says which field, in a
// sentence, and Redis holds exactly what it held before. Each row of the tables is one such request.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { Issuer } from './lib/token.mjs';
import { event, events, RawHttp } from './lib/http.mjs';

const JSON_TYPE = { 'content-type': 'application/json' };
const CLOUD = { 'content-type': 'application/cloudevents+json' };
const good = { type: 'ok', payload: {} };

function nested(depth, inner = '1') {
  return '['.repeat(depth) + inner + ']'.repeat(depth);
}

function deepObject(depth) {
  return '{"a":'.repeat(depth) + '1' + '}'.repeat(depth);
}

// --- rows: [name, body (a value is sent as JSON), field, and what differs from 400 invalid]

const bodies = [
  ['no body', '', undefined],
  ['white space only', ' \n', undefined],
  ['not JSON', '{nope}', undefined],
  ['half an object', '{"type":"a"', undefined],
  ['two values', '{"type":"a"} {"type":"b"}', undefined],
  ['single quotes', "{'type':'a'}", undefined],
  ['trailing comma', '{"type":"a",}', undefined],
  ['comment', '{"type":"a"/* */}', undefined],
  ['NaN', '{"type":"a","payload":{"n":NaN}}', undefined],
  ['leading zero', '{"type":"a","payload":{"n":01}}', undefined],
  ['bare control character in a string', '{"type":"a","payload":{"s":"\n"}}', undefined],
  ['lone surrogate', '{"type":"a","payload":{"s":"\\ud800"}}', undefined],
  ['byte order mark', '\ufeff{"type":"a"}', undefined],
  ['a number', '7', undefined],
  ['a string', '"event"', undefined],
  ['null', 'null', undefined],
  ['an array of numbers', [1], /^\[0\]/],
  ['an array in an array', [[good]], /^\[0\]/],
  ['an empty array', '[]', undefined],
  ['one bad event among good ones', [good, good, { payload: {} }], '[2].type'],

  ['duplicate key', '{"type":"a","type":"b"}', undefined],
  ['duplicate key, one of them escaped', '{"type":"a","\\u0074ype":"b"}', undefined],
  ['duplicate key deep in the payload', '{"type":"a","payload":{"x":{"y":1,"y":2}}}', undefined],
  ['300-deep array', `{"type":"a","payload":{"x":${nested(300)}}}`, undefined],
  ['300-deep object', `{"type":"a","payload":${deepObject(300)}}`, undefined],
  ['300 brackets and no end', '['.repeat(300), undefined],
  ['100,000 brackets', '['.repeat(100_000), undefined],
  ['invalid UTF-8', Buffer.from([...Buffer.from('{"type":"a","payload":{"s":"'), 0xff, ...Buffer.from('"}}')]), undefined],
  ['overlong UTF-8', Buffer.from([...Buffer.from('{"type":"a","payload":{"s":"'), 0xc0, 0xaf, ...Buffer.from('"}}')]), undefined],
  ['a surrogate as UTF-8', Buffer.from([...Buffer.from('{"type":"a","payload":{"s":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}}')]), undefined],
  ['NUL byte in the text', '{"type":"a"\0}', undefined],

  ['no type', { payload: {} }, 'type'],
  ['type is a number', { type: 7 }, 'type'],
  ['type is null', { type: null }, 'type'],
  ['type is empty', { type: '' }, 'type'],
  ['type with a space', { type: 'a b' }, 'type'],
  ['type with a slash', { type: 'a/b' }, 'type'],
  ['type with a colon', { type: 'a:b' }, 'type'],
  ['type not ASCII', { type: 'ä' }, 'type'],
  ['type of 201', { type: 'a'.repeat(201) }, 'type'],
  ['forged weft.open', { type: 'weft.open' }, 'type'],
  ['forged weft.gap', { type: 'weft.gap', payload: { topic: 't' } }, 'type'],
  ['forged weft.anything', { type: 'weft.x' }, 'type'],
  ['weft. alone', { type: 'weft.' }, 'type'],

  ['payload is an array', { type: 'a', payload: [] }, 'payload'],
  ['payload is a string', { type: 'a', payload: '{}' }, 'payload'],
  ['payload is null', { type: 'a', payload: null }, 'payload'],
  ['ts is a string', { type: 'a', ts: '1795314948061' }, 'ts'],
  ['ts is negative', { type: 'a', ts: -1 }, 'ts'],
  ['ts is a fraction', '{"type":"a","ts":1.5}', 'ts'],
  ['ts is beyond 2^53', '{"type":"a","ts":9007199254740994}', 'ts'],
  ['ts is enormous', '{"type":"a","ts":1e400}', 'ts'],

  ['id is not for publishers', { ...good, id: '1-1' }, 'id'],
  ['topic is not for publishers', { ...good, topic: 't' }, 'topic'],
  ['node is not for publishers', { ...good, node: 'a' }, 'node'],
  ['unknown field', { ...good, surprise: 1 }, 'surprise'],
  ['field in the wrong case', { ...good, Payload: {} }, 'Payload'],
  ['unknown field of the second event', [good, { ...good, surprise: 1 }], '[1].surprise'],
  ['repo_id is an object', { ...good, repo_id: {} }, 'repo_id'],
  ['repo_id is a truth', { ...good, repo_id: true }, 'repo_id'],
  ['key of 201', { ...good, key: 'k'.repeat(201) }, 'key', [400, 413]],
  ['traceparent is not one', { ...good, traceparent: 'x' }, 'traceparent'],
  ['traceparent with a zero trace id', { ...good, traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` }, 'traceparent'],

  ['topics is a string', { ...good, topics: 'a' }, 'topics'],
  ['topics is empty', { ...good, topics: [] }, 'topics'],
  ['topics holds a number', { ...good, topics: ['a', 7] }, 'topics[1]'],
  ['topics holds a wildcard', { ...good, topics: ['a', 'b*'] }, 'topics[1]'],
  ['topics holds one of 201', { ...good, topics: ['a'.repeat(201)] }, 'topics[0]'],
  ['topics holds one twice', { ...good, topics: ['a', 'b', 'a'] }, 'topics[2]'],
  ['500 topics', { ...good, topics: Array.from({ length: 500 }, (_, i) => `t${i}`) }, /^topics/, [400, 413]],

  ['1,001 events', events(1, 1001), undefined, [400, 413]],
  ['an event over 256 KiB', { type: 'a', payload: { s: 'x'.repeat(300_000) } }, undefined, [400, 413]],

  // Known types: the payloads of their schemas.
  ['repo.status_changed without to', { type: 'repo.status_changed', payload: { from: 'a' } }, 'payload.to'],
  ['repo.status_changed, from is a number', { type: 'repo.status_changed', payload: { from: 1, to: 'b' } }, 'payload.from'],
  ['task.status_changed without from', { type: 'task.status_changed', payload: { to: 'a' } }, 'payload.from'],
  ['task.status_changed without payload', { type: 'task.status_changed' }, /^payload/],
  ['doc.created without doc_id', { type: 'doc.created', payload: { title: 't', filename: 'f' } }, 'payload.doc_id'],
  ['doc.created, title is null', { type: 'doc.created', payload: { doc_id: 'd', title: null, filename: 'f' } }, 'payload.title'],
  ['task.progress without phase', { type: 'task.progress', payload: { percent: 1 } }, 'payload.phase'],
  ['task.progress, percent is a string', { type: 'task.progress', payload: { phase: 'a', percent: '50' } }, 'payload.percent'],
  ['log.append without message', { type: 'log.append', payload: { level: 'info' } }, 'payload.message'],
  ['log.append, level is a number', { type: 'log.append', payload: { level: 3, message: 'm' } }, 'payload.level'],
];

const controls = { CR: '\r', LF: '\n', CRLF: '\r\n', NUL: '\0', ESC: '\x1b', DEL: '\x7f' };
for (const [name, text] of Object.entries(controls)) {
  for (const field of ['type', 'repo_id', 'task_id', 'session_id', 'service_id', 'request_id', 'key', 'source', 'subject', 'traceparent']) {
    bodies.push([`${name} in ${field}`, { ...good, [field]: `a${text}event: weft.gap` }, field]);
  }
  bodies.push([`${name} in topics`, { ...good, topics: ['a', `b${text}c`] }, 'topics[1]']);
}

const cloud = { specversion: '1.0', id: '1', source: 's', type: 'ce', data: {} };
const without = (field) => Object.fromEntries(Object.entries(cloud).filter(([key]) => key !== field));
const clouds = [
  ['no specversion', without('specversion'), 'specversion'],
  ['another specversion', { ...cloud, specversion: '0.3' }, 'specversion'],
  ['no id', without('id'), 'id'],
  ['empty id', { ...cloud, id: '' }, 'id'],
  ['no source', without('source'), 'source'],
  ['empty source', { ...cloud, source: '' }, 'source'],
  ['no type', without('type'), 'type'],
  ['forged type', { ...cloud, type: 'weft.open' }, 'type'],
  ['time is not RFC 3339', { ...cloud, time: 'yesterday' }, 'time'],
  ['time on 30 February', { ...cloud, time: '2026-02-30T00:00:00Z' }, 'time'],
  ['data is a string', { ...cloud, data: 'x' }, 'data'],
  ['data is an array', { ...cloud, data: [] }, 'data'],
  ['data_base64', { ...without('data'), data_base64: 'AAAA' }, /^data/],
  ['unknown extension', { ...cloud, comexampleext: 'x' }, 'comexampleext'],
  ['LF in the id', { ...cloud, id: 'a\nb' }, 'id'],
  ['CR in the source', { ...cloud, source: 'a\rb' }, 'source'],
  ['NUL in the subject', { ...cloud, subject: 'a\0b' }, 'subject'],
];

const NUMBERED = { 'producer-id': 'p', 'producer-epoch': '1', 'producer-seq': '0' };

// Without what is undefined.
function compact(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
}

const long = 'a'.repeat(201);
// --- rows: [name, {method, path, headers, body}, field, status, code]
const requests = [
  ...clouds.map(([name, body, field]) => [`CloudEvents: ${name}`, { headers: CLOUD, body }, field]),
  ['CloudEvents batch: an object', { headers: { 'content-type': 'application/cloudevents-batch+json' }, body: cloud }, undefined],
  ['CloudEvents batch: the second is bad', { headers: { 'content-type': 'application/cloudevents-batch+json' }, body: [cloud, without('type')] }, '[1].type'],
  ['CloudEvents structured: an array', { headers: CLOUD, body: [cloud] }, undefined],
  ['CloudEvents binary: no type', { headers: { ...JSON_TYPE, 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': 's' }, body: {} }, /^(ce-)?type$/],
  ['CloudEvents binary: body is an array', { headers: { ...JSON_TYPE, 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': 's', 'ce-type': 't' }, body: [] }, 'data'],
  ['CloudEvents binary: wrong version', { headers: { ...JSON_TYPE, 'ce-specversion': '2.0', 'ce-id': '1', 'ce-source': 's', 'ce-type': 't' }, body: {} }, /^(ce-)?specversion$/],
  ['NDJSON: nothing', { headers: { 'content-type': 'application/x-ndjson' }, body: '\n\n' }, undefined],
  ['NDJSON: second line is not JSON', { headers: { 'content-type': 'application/x-ndjson' }, body: `${JSON.stringify(good)}\nnope\n` }, /^(\[1\])?/],
  ['NDJSON: second line has no type', { headers: { 'content-type': 'application/x-ndjson' }, body: `${JSON.stringify(good)}\n{}\n` }, '[1].type'],
  ['NDJSON: two events on one line', { headers: { 'content-type': 'application/x-ndjson' }, body: `${JSON.stringify(good)}${JSON.stringify(good)}\n` }, undefined],

  ['no content type', { headers: {}, body: good }, undefined, 415, 'unsupported_media_type'],
  ['text/plain', { headers: { 'content-type': 'text/plain' }, body: good }, undefined, 415, 'unsupported_media_type'],
  ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'type=a' }, undefined, 415, 'unsupported_media_type'],
  ['application/jsonx', { headers: { 'content-type': 'application/jsonx' }, body: good }, undefined, 415, 'unsupported_media_type'],
  ['a content type that names JSON in a parameter', { headers: { 'content-type': 'text/plain; x=application/json' }, body: good }, undefined, 415, 'unsupported_media_type'],

  ['topic with a space', { path: '/api/topics/a%20b/events' }, 'topic'],
  ['topic with a slash', { path: '/api/topics/a%2Fb/events' }, 'topic'],
  ['topic with LF', { path: '/api/topics/a%0Ab/events' }, 'topic'],
  ['topic with CR', { path: '/api/topics/a%0Db/events' }, 'topic'],
  ['topic with CRLF', { path: '/api/topics/a%0D%0Ab/events' }, 'topic'],
  ['topic with NUL', { path: '/api/topics/a%00b/events' }, 'topic'],
  ['topic with a wildcard', { path: '/api/topics/a*/events' }, 'topic'],
  ['topic with braces', { path: '/api/topics/%7B0%7D/events' }, 'topic'],
  ['topic with a quote', { path: '/api/topics/a%27b/events' }, 'topic'],
  ['topic not ASCII', { path: '/api/topics/%C3%A4/events' }, 'topic'],
  ['topic not UTF-8', { path: '/api/topics/%FF/events' }, 'topic'],
  ['topic with a broken escape', { path: '/api/topics/a%2/events' }, 'topic'],
  ['topic of 201', { path: `/api/topics/${long}/events` }, 'topic'],
  ['unknown query parameter of a publish', { path: '/api/topics/t/events?nope=1' }, 'nope'],
  ['Idempotency-Key of 201', { headers: { ...JSON_TYPE, 'idempotency-key': 'k'.repeat(201) } }, 'Idempotency-Key'],
  ['Idempotency-Key empty', { headers: { ...JSON_TYPE, 'idempotency-key': '' } }, 'Idempotency-Key'],
  ['Idempotency-Key not ASCII', { headers: { ...JSON_TYPE, 'idempotency-key': '\u00e4' } }, 'Idempotency-Key'],
  ['Idempotency-Key with a space', { headers: { ...JSON_TYPE, 'idempotency-key': 'a b' } }, 'Idempotency-Key'],
  ...[
    ['no id', { 'producer-id': undefined }, 'Producer-Id'],
    ['no epoch', { 'producer-epoch': undefined }, 'Producer-Epoch'],
    ['no number', { 'producer-seq': undefined }, 'Producer-Seq'],
    ['number alone', { 'producer-id': undefined, 'producer-epoch': undefined }, 'Producer-Id'],
    ['empty id', { 'producer-id': '' }, 'Producer-Id'],
    ['id of 201', { 'producer-id': 'p'.repeat(201) }, 'Producer-Id'],
    ['id with a space', { 'producer-id': 'a b' }, 'Producer-Id'],
    ['id with a slash', { 'producer-id': 'a/b' }, 'Producer-Id'],
    ['id with braces', { 'producer-id': '{1}' }, 'Producer-Id'],
    ['id not ASCII', { 'producer-id': '\u00e4' }, 'Producer-Id'],
    ['id twice', { 'producer-id': ['p', 'p'] }, 'Producer-Id'],
    ...['', 'x', '-1', '+1', '1.5', '1e3', '0x1', ' ', '1 2', '9007199254740992', '18446744073709551616'].flatMap((number) => [
      [`epoch "${number}"`, { 'producer-epoch': number }, 'Producer-Epoch'],
      [`number "${number}"`, { 'producer-seq': number }, 'Producer-Seq'],
    ]),
    ['number twice', { 'producer-seq': ['0', '1'] }, 'Producer-Seq'],
    ['with an Idempotency-Key', { 'idempotency-key': 'k' }, 'Idempotency-Key'],
    ['with attributes of CloudEvents', { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': 's', 'ce-type': 't' }, 'Producer-Id'],
  ].map(([name, change, field]) => [`producer: ${name}`, { headers: compact({ ...JSON_TYPE, ...NUMBERED, ...change }) }, field]),
  ['producer: CloudEvents', { headers: { ...CLOUD, ...NUMBERED }, body: cloud }, 'Producer-Id'],
  ['producer: CloudEvents batch', { headers: { ...NUMBERED, 'content-type': 'application/cloudevents-batch+json' }, body: [cloud] }, 'Producer-Id'],
  ['producer: the last of two has no number', { headers: { ...JSON_TYPE, ...NUMBERED, 'producer-seq': '9007199254740991' }, body: [good, good] }, 'Producer-Seq'],
  ['producer: a bad event', { headers: { ...JSON_TYPE, ...NUMBERED }, body: [good, {}] }, '[1].type'],
  ...['', '1', 'replicas', 'replicas:', 'replicas:0', 'replicas:17', 'replicas:-1', 'replicas:x', 'replicas:1x', 'replicas:1:1', 'replicas:%201', 'Replicas:1', 'disk:1', 'replicas:18446744073709551617'].map(
    (ack) => [`ack=${ack}`, { path: `/api/topics/t/events?ack=${ack}` }, 'ack'],
  ),
  ['Idempotency-Key with a tab', { headers: { ...JSON_TYPE, 'idempotency-key': 'a\tb' } }, 'Idempotency-Key'],

  ...[
    ['subscribe: no topic', '', 'topic'],
    ['subscribe: empty topic', 'topic=', 'topic'],
    ['subscribe: topic with a space', 'topic=a%20b', 'topic'],
    ['subscribe: topic with LF', 'topic=a%0Ab', 'topic'],
    ['subscribe: topic with CR', 'topic=a%0Db', 'topic'],
    ['subscribe: topic with NUL', 'topic=a%00b', 'topic'],
    ['subscribe: star in the middle', 'topic=a*b', 'topic'],
    ['subscribe: two stars', 'topic=a**', 'topic'],
    ['subscribe: topic of 201', `topic=${long}`, 'topic'],
    ['subscribe: a good topic and a bad one', 'topic=a&topic=b%20c', 'topic'],
    ['subscribe: 101 topics', Array.from({ length: 101 }, (_, i) => `topic=t${i}`).join('&'), 'topic'],
    ['subscribe: 500 topics', Array.from({ length: 500 }, (_, i) => `topic=t${i}`).join('&'), undefined],
    ['subscribe: unknown parameter', 'topic=t&nope=1', 'nope'],
    ['subscribe: parameter in the wrong case', 'topic=t&Types=a', 'Types'],
    ['subscribe: LF in an unknown parameter', 'topic=t&no%0Ape=1', undefined],
    ['subscribe: types with a space', 'topic=t&types=a%20b', 'types'],
    ['subscribe: types with LF', 'topic=t&types=a%0Ab', 'types'],
    ['subscribe: 33 types', `topic=t&types=${Array.from({ length: 33 }, (_, i) => `t${i}`).join(',')}`, 'types'],
    ['subscribe: named=2', 'topic=t&named=2', 'named'],
    ['subscribe: named=yes', 'topic=t&named=yes', 'named'],
    ['subscribe: broken escape', 'topic=t&types=%zz', 'types'],
    ['subscribe: invalid UTF-8', 'topic=t&types=%ff', 'types'],
    ['subscribe: 300 parameters', Array.from({ length: 300 }, (_, i) => `a${i}=1`).join('&'), undefined],
    ...['x', '1', '1-', '-1', '1-2-3', '1-2x', '+1-2', '01-2', '1-02', '1-18446744073709551616', '18446744073709551616-1', '1%20-2', '1-2%0A', '%00', '1-2,3-4'].map(
      (cursor) => [`subscribe: lastEventId=${cursor}`, `topic=t&lastEventId=${cursor}`, 'lastEventId'],
    ),
    ...['yesterday', '-', '-5', '-5x', '-m', '--5m', '-5m5s', '-99999999999999999999s', '5m', 'Earliest', '1-x', '99999999999999999999', '-5m%0A'].map(
      (since) => [`subscribe: since=${since}`, `topic=t&since=${since}`, 'since'],
    ),
  ].map(([name, query, field]) => [name, { method: 'GET', path: `/api/events?${query}`, headers: { accept: 'text/event-stream' } }, field]),
  ...['x', '1', '1-', '1-2-3', '1-2x', '999999999999999999999-1'].map((cursor) => [
    `subscribe: Last-Event-ID: ${cursor}`,
    { method: 'GET', path: '/api/events?topic=t', headers: { accept: 'text/event-stream', 'last-event-id': cursor } },
    /^last-?event-?id$/i,
  ]),
  ...[
    ['poll: wait_ms=x', 'topic=t&wait_ms=x', 'wait_ms'],
    ['poll: wait_ms=-1', 'topic=t&wait_ms=-1', 'wait_ms'],
    ['poll: wait_ms over its limit', 'topic=t&wait_ms=999999999', 'wait_ms'],
    ['poll: limit=0', 'topic=t&limit=0', 'limit'],
    ['poll: limit=1001', 'topic=t&limit=1001', 'limit'],
    ['poll: limit=1e2', 'topic=t&limit=1e2', 'limit'],
    ['poll: malformed cursor', 'topic=t&lastEventId=abc', 'lastEventId'],
  ].map(([name, query, field]) => [name, { method: 'GET', path: `/api/events?${query}`, headers: { accept: 'application/json' } }, field]),
  ...[
    ['history: after=x', '/api/topics/there/events?after=x', 'after'],
    ['history: before=1', '/api/topics/there/events?before=1', 'before'],
    ['history: limit=0', '/api/topics/there/events?limit=0', 'limit'],
    ['history: limit=1001', '/api/topics/there/events?limit=1001', 'limit'],
    ['history: limit=', '/api/topics/there/events?limit=', 'limit'],
    ['history: order=up', '/api/topics/there/events?order=up', 'order'],
    ['history: unknown parameter', '/api/topics/there/events?page=2', 'page'],
    ['history: bad topic', '/api/topics/a%20b/events', 'topic'],
    ['topic: bad name', '/api/topics/a%0Ab', 'topic'],
    ['topic: unknown parameter', '/api/topics/there?x=1', 'x'],
    ['topics: limit=1001', '/api/topics?limit=1001', 'limit'],
    ['topics: limit=-1', '/api/topics?limit=-1', 'limit'],
    ['topics: bad prefix', '/api/topics?prefix=a%0Ab', 'prefix'],
    ['topics: bad after', '/api/topics?after=a%20b', 'after'],
    ['topics: unknown parameter', '/api/topics?nope=1', 'nope'],
  ].map(([name, path, field]) => [name, { method: 'GET', path, headers: {} }, field]),

  ['subscribe: Accept: text/html', { method: 'GET', path: '/api/events?topic=t', headers: { accept: 'text/html' } }, undefined, 406, 'not_acceptable'],
  ['subscribe: Accept: application/jsonx', { method: 'GET', path: '/api/events?topic=t', headers: { accept: 'application/jsonx' } }, undefined, 406, 'not_acceptable'],
  ['topic that never had an event', { method: 'GET', path: '/api/topics/never', headers: {} }, undefined, 404, 'not_found'],
  ['history of a topic that never had an event', { method: 'GET', path: '/api/topics/never/events', headers: {} }, undefined, 404, 'not_found'],
  ...['/nope', '/api', '/api/', '/api/nope', '/api/topics/t/nope', '/api/topics/t/events/1', '/api/topics//events', '/api/topics/', '/api/events/', '/index.html/x', '/..', '/%2e%2e/etc/passwd', '/app.js/'].map(
    (path) => [`GET ${path}`, { method: 'GET', path, headers: {} }, undefined, [400, 404]],
  ),
];

function checkProblem(answer, { field, status = 400, code }) {
  const statuses = [status].flat();
  assert.ok(statuses.includes(answer.status), `status ${answer.status}, not ${statuses}: ${answer.text}`);
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  const { json } = answer;
  assert.equal(json.status, answer.status);
  assert.equal(typeof json.title, 'string');
  assert.ok(json.error.message.length > 0, 'a sentence');
  assert.equal(json.detail, json.error.message);
  const byStatus = { 400: 'invalid', 404: 'not_found', 405: 'method_not_allowed', 406: 'not_acceptable', 413: 'too_large', 415: 'unsupported_media_type' };
  assert.equal(json.error.code, code ?? byStatus[answer.status]);
  if (field instanceof RegExp) assert.match(json.error.field ?? '', field);
  else if (field !== undefined) assert.equal(json.error.field, field, answer.text);
  // Nothing of the inside, no bytes that would steer a terminal.
  assert.doesNotMatch(answer.text, /weft:\{|FCALL|redis|\.c:\d|0x[0-9a-f]{6}|[\u0000-\u0008\u000b-\u001f\u007f]/i);
}

// All rows against one node; every failure is told, not only the first one.
async function runTable(w, rows) {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('there', event(1));
  await node.logged('lease.taken'); // a key of its own
  const before = await w.store.fingerprint();
  const failures = [];
  for (const [name, row, expected] of rows) {
    const { method = 'POST', path = '/api/topics/t/events', headers = JSON_TYPE, body = method === 'POST' ? good : undefined } = row;
    const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
    try {
      const answer = await api.send(method, path, { headers, body: raw ? body : JSON.stringify(body) });
      checkProblem(answer, expected);
      assert.equal(await w.store.fingerprint(), before, 'Redis was changed');
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  assert.deepEqual(failures, []);
  assert.equal((await api.publish('there', good)).status, 201, 'and good input still passes');
}

story(`${bodies.length} bad bodies`, async (w) => {
  await runTable(w, bodies.map(([name, body, field, status]) => [name, { body }, { field, status }]));
});

story(`${requests.length} bad requests`, async (w) => {
  await runTable(w, requests.map(([name, row, field, status, code]) => [name, row, { field, status, code }]));
});

story('a method that a resource does not have: 405 with Allow', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  for (const [method, path, allowed] of [
    ['PUT', '/api/topics/t/events', ['GET', 'POST']],
    ['DELETE', '/api/topics/t/events', ['GET', 'POST']],
    ['PATCH', '/api/topics/t/events', ['GET', 'POST']],
    ['POST', '/api/events', ['GET']],
    ['DELETE', '/api/topics', ['GET']],
    ['DELETE', '/api/topics/t', ['GET']],
    ['POST', '/healthz', ['GET']],
    ['POST', '/metrics', ['GET']],
    ['POST', '/', ['GET']],
  ]) {
    const answer = await api.send(method, path, { headers: JSON_TYPE, body: '{}' });
    checkProblem(answer, { status: 405 });
    const allow = String(answer.headers.allow).split(/,\s*/);
    for (const name of allowed) assert.ok(allow.includes(name), `${method} ${path}: Allow: ${answer.headers.allow}`);
    assert.ok(!allow.includes(method));
  }
  assert.equal(await w.store.cmd('EXISTS', 'weft:{0}:topics'), 0);
});

story('an Idempotency-Key with CR, LF, CRLF or NUL in the header itself', async (w) => {
  const [node] = await w.cluster();
  await node.logged('lease.taken'); // a key of its own
  const before = await w.store.fingerprint();
  const body = JSON.stringify(good);
  for (const text of ['a\rb', 'a\nb', 'a\r\n b', 'a\0b', 'a\x7fb']) {
    const raw = new RawHttp(node.port);
    await raw.write(
      `POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: ${text}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const answer = await raw.response();
    assert.equal(answer?.status, 400, JSON.stringify(text));
    assert.equal(await w.store.fingerprint(), before, JSON.stringify(text));
    raw.destroy();
  }
});

story('a body over 1 MiB: 413 before it was sent', async (w) => {
  const [node] = await w.cluster();
  await node.logged('lease.taken'); // a key of its own
  const before = await w.store.fingerprint();
  const refused = async (framing, body) => {
    const raw = new RawHttp(node.port);
    await raw.write(`POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`);
    for (const chunk of body) await raw.write(chunk);
    const answer = await raw.response();
    await raw.rest();
    raw.destroy();
    return answer;
  };
  // What is still coming when the answer leaves is read, else a reset would take the answer with it.
  const chunks = Array(17).fill(`10000\r\n${' '.repeat(65536)}\r\n`);
  for (const [framing, body] of [['Content-Length: 1048600', []], ['Content-Length: 99999999999', []], ['Transfer-Encoding: chunked', chunks],
    ['Content-Length: 1048577', [JSON.stringify(good).padEnd(1_048_577)]], ['Content-Length: 20000000', Array(20).fill('x'.repeat(1_000_000))]]) {
    const answer = await refused(framing, body);
    assert.equal(answer?.status, 413, framing);
    assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/, framing);
    assert.equal(JSON.parse(answer.body).error.code, 'too_large');
  }
  assert.equal(await w.store.fingerprint(), before);
  // Just inside the limits: a whole MiB, and four events of nearly 256 KiB.
  const api = w.client(node);
  assert.equal(await w.store.fingerprint(), before);
  assert.equal((await api.publish('t', JSON.stringify(good).padEnd(1_048_576))).status, 201);
  const big = Array.from({ length: 4 }, () => ({ type: 'big', payload: { s: 'x'.repeat(261_900) } }));
  assert.ok(JSON.stringify(big).length <= 1_048_576);
  assert.equal((await api.publish('t', big)).status, 201);
});

story('a huge header is refused and the node stays', async (w) => {
  const [node] = await w.cluster();
  await node.logged('lease.taken'); // a key of its own
  const before = await w.store.fingerprint();
  const raw = new RawHttp(node.port);
  await raw.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(500_000)}\r\n\r\n`);
  const answer = await raw.response().catch(() => null);
  if (answer) assert.ok(answer.status >= 400 && answer.status < 500, `status ${answer.status}`);
  await raw.rest();
  const many = new RawHttp(node.port);
  const lines = Array.from({ length: 500 }, (_, i) => `X-${i}: ${i}`).join('\r\n');
  await many.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n${lines}\r\n\r\n`);
  const refused = await many.response().catch(() => null);
  if (refused) assert.ok(refused.status >= 400 && refused.status < 500, `status ${refused.status}`);
  await many.rest();
  assert.equal((await w.client(node).get('/healthz')).status, 200);
  assert.equal(await w.store.fingerprint(), before);
});

story('publishing without the right: 401 or 403, and nothing written', async (w) => {
  await w.cluster(0);
  for (const [anonymous, publish, subscribe] of [['none', 401, 401], ['subscribe', 403, 200], ['publish', 201, 403]]) {
    const node = await w.node({ set: { auth: { anonymous, ...(anonymous === 'none' ? { jwks: new Issuer(w.folder).file } : {}) } } });
    const api = w.client(node);
    await Promise.any(w.nodes.map((one) => one.logged('lease.taken'))); // a key of its own
  const before = await w.store.fingerprint();
    const answer = await api.publish('t', good);
    assert.equal(answer.status, publish, `${anonymous}: ${answer.text}`);
    if (publish !== 201) assert.equal(await w.store.fingerprint(), before);
    const polled = await api.poll('topic=t');
    if (anonymous === 'publish') assert.ok([401, 403].includes(polled.status), `${anonymous}: ${polled.status}`);
    else assert.equal(polled.status, subscribe, `${anonymous}: ${polled.text}`);
    for (const path of ['/healthz', '/readyz', '/metrics', '/']) assert.equal((await api.get(path)).status, 200, `${anonymous}: ${path}`);
  }
});
