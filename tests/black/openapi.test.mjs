// The API description. docs/openapi.yaml and the router of the node name the same methods and paths, every reference in the
// file leads somewhere, its examples fit its schemas, and so does what the node really answers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { story } from './lib/story.mjs';
import { events } from './lib/http.mjs';
import { bin, ROOT } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

const METHODS = ['get', 'put', 'post', 'delete', 'patch'];
const source = readFileSync(path.join(ROOT, 'docs/openapi.yaml'), 'utf8');
const api = parse(source);

function resolve(value) {
  let at = value;
  while (at?.$ref) {
    const keys = at.$ref.replace(/^#\//, '').split('/');
    at = keys.reduce((node, key) => node?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], api);
  }
  return at;
}

// The part of JSON Schema that the file uses; anything else in it is a mistake.
const KEYWORDS = new Set(['type', 'properties', 'required', 'additionalProperties', 'items', 'enum', 'const', 'oneOf', 'anyOf', 'allOf', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems', 'maxItems', 'uniqueItems', 'default', 'description', 'title', 'examples', 'format', '$ref', 'contentMediaType', 'contentSchema']);

function typeOf(value) {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  if (Number.isInteger(value)) return ['integer', 'number'];
  return [typeof value];
}

function faults(schema, value, at = '$') {
  const s = resolve(schema);
  const out = [];
  for (const key of Object.keys(s)) if (!KEYWORDS.has(key)) out.push(`${at}: keyword ${key} is not understood`);
  if (s.type && ![s.type].flat().some((type) => typeOf(value).includes(type))) return [`${at}: ${JSON.stringify(value)} is not ${s.type}`];
  if (s.enum && !s.enum.includes(value)) out.push(`${at}: ${JSON.stringify(value)} is none of ${s.enum}`);
  if ('const' in s && s.const !== value) out.push(`${at}: is not ${s.const}`);
  if (typeof value === 'string') {
    if (s.pattern && !new RegExp(s.pattern, 'u').test(value)) out.push(`${at}: ${JSON.stringify(value)} does not match ${s.pattern}`);
    if (s.minLength !== undefined && value.length < s.minLength) out.push(`${at}: too short`);
    if (s.maxLength !== undefined && value.length > s.maxLength) out.push(`${at}: too long`);
  }
  if (typeof value === 'number') {
    if (s.minimum !== undefined && value < s.minimum) out.push(`${at}: too small`);
    if (s.maximum !== undefined && value > s.maximum) out.push(`${at}: too large`);
  }
  if (Array.isArray(value)) {
    if (s.minItems !== undefined && value.length < s.minItems) out.push(`${at}: too few`);
    if (s.maxItems !== undefined && value.length > s.maxItems) out.push(`${at}: too many`);
    if (s.items) value.forEach((item, i) => out.push(...faults(s.items, item, `${at}[${i}]`)));
  } else if (value !== null && typeof value === 'object') {
    for (const key of s.required ?? []) if (!(key in value)) out.push(`${at}: ${key} is missing`);
    for (const [key, item] of Object.entries(value)) {
      if (s.properties?.[key]) out.push(...faults(s.properties[key], item, `${at}.${key}`));
      else if (s.additionalProperties === false) out.push(`${at}: ${key} is not in the schema`);
      else if (typeof s.additionalProperties === 'object') out.push(...faults(s.additionalProperties, item, `${at}.${key}`));
    }
  }
  for (const part of s.allOf ?? []) out.push(...faults(part, value, at));
  for (const name of ['oneOf', 'anyOf']) {
    if (!s[name]) continue;
    const fits = s[name].filter((part) => faults(part, value, at).length === 0).length;
    if (name === 'oneOf' ? fits !== 1 : fits === 0) out.push(`${at}: fits ${fits} of ${name}`);
  }
  return out;
}

function* operations() {
  for (const [route, item] of Object.entries(api.paths)) {
    for (const method of METHODS) if (item[method]) yield { route, method, item, op: item[method] };
  }
}

function* nodes(value, at = '#') {
  if (value === null || typeof value !== 'object') return;
  yield [at, value];
  for (const [key, item] of Object.entries(value)) yield* nodes(item, `${at}/${key}`);
}

story('the file itself: references, ids, parameters, examples', async () => {
  assert.match(api.openapi, /^3\.1\./);
  for (const [at, node] of nodes(api)) {
    if (typeof node.$ref === 'string') assert.ok(resolve(node), `${at}: ${node.$ref} leads nowhere`);
    if (node.examples && node.schema && !Array.isArray(node.examples)) {
      for (const [name, example] of Object.entries(node.examples)) {
        const { value } = resolve(example);
        if (typeof value === 'object') assert.deepEqual(faults(node.schema, value), [], `${at}/examples/${name}`);
      }
    }
    if (Array.isArray(node.examples) && node.type) {
      for (const example of node.examples) assert.deepEqual(faults(node, example), [], at);
    }
  }
  const ids = [...operations()].map(({ op }) => op.operationId);
  assert.equal(new Set(ids).size, ids.length);
  for (const { route, method, item, op } of operations()) {
    const where = `${method.toUpperCase()} ${route}`;
    assert.ok(op.operationId && op.summary && op.tags, where);
    const declared = [...(item.parameters ?? []), ...(op.parameters ?? [])].map(resolve).filter((p) => p.in === 'path').map((p) => p.name);
    assert.deepEqual([...route.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort(), declared.sort(), where);
    for (const [status, response] of Object.entries(op.responses)) assert.ok(resolve(response).description, `${where} ${status}`);
  }
}, { needs: [] });

story('the router of the node and the file name the same', async () => {
  const printed = await run(bin('weftd'), ['--print-routes']);
  assert.equal(printed.code, 0, printed.stderr);
  const shape = (route) => route.replace(/\{\w+\}/g, '{}');
  const routes = printed.stdout.split('\n').filter((line) => line !== '').map((line) => {
    const match = /^([A-Z]+) (\/\S*)$/.exec(line);
    assert.ok(match, `not a route: ${line}`);
    return `${match[1]} ${shape(match[2])}`;
  }).filter((route) => !/^(HEAD|OPTIONS) /.test(route));
  const described = [...operations()].map(({ route, method }) => `${method.toUpperCase()} ${shape(route)}`);
  assert.deepEqual([...routes].sort(), [...described].sort());
});

story('every operation of the file is served', async (w) => {
  const [node] = await w.cluster();
  const client = w.client(node);
  await client.published('there', events(1, 3));
  await client.send('PUT', '/api/breakers/there', { body: '{}' });
  await client.send('PUT', '/api/limits/there', { body: '{"capacity":9,"refill_per_s":1}' });
  const service = () => client.send('PUT', '/api/services/there', { body: '{"kind":"url","url":"http://127.0.0.1:1/"}' });
  for (const { route, method } of operations()) {
    if (route.startsWith('/api/services/')) await service(); // DELETE comes before the others
    const target = route.replace(/\{(topic|name|bucket|id)\}/g, 'there').replace(/\{\w+\}/g, 'x');
    const answer = await client.send(method.toUpperCase(), target === '/api/events' ? `${target}?topic=t` : target, {
      headers: { accept: target === '/api/events' ? 'application/json' : '*/*', ...(method === 'get' ? {} : { 'content-type': 'application/json' }) },
      body: method === 'get' ? undefined : '{"type":"a"}',
    });
    if (answer.status === 404 && ['stream', 'jti'].includes(answer.json.error.field)) continue; // it is served: there is none of that name
    assert.ok(![404, 405].includes(answer.status), `${method.toUpperCase()} ${target}: ${answer.status}`);
  }
});

// The schema of an answer, by the file.
function schemaOf(route, method, status, type) {
  const response = resolve(api.paths[route][method].responses[status]);
  assert.ok(response, `${method} ${route} ${status} is not in the file`);
  const media = response.content?.[type];
  assert.ok(media, `${method} ${route} ${status} has no ${type}`);
  return media.schema;
}

story('what the node answers fits the schemas', async (w) => {
  const [node] = await w.cluster();
  const client = w.client(node);
  const check = (answer, route, method, status) => {
    const type = String(answer.headers['content-type']).split(';')[0];
    assert.equal(answer.status, status, answer.text);
    assert.deepEqual(faults(schemaOf(route, method, String(status), type), answer.json), [], `${method} ${route} ${status}: ${answer.text}`);
  };
  const E = '/api/topics/{topic}/events';
  const bodies = Object.values(api.paths[E].post.requestBody.content['application/json'].examples ?? {}).map((e) => resolve(e).value);
  assert.ok(bodies.length > 0);
  for (const body of bodies) check(await client.publish('t', body), E, 'post', 201);
  check(await client.publish('t', '{}'), E, 'post', 400);
  check(await client.publish('t', 'x', { 'content-type': 'text/plain' }), E, 'post', 415);
  const numbered = (epoch, seq) => ({ 'producer-id': 'p', 'producer-epoch': String(epoch), 'producer-seq': String(seq) });
  check(await client.publish('n', events(0, 1), numbered(2, 0)), E, 'post', 201);
  check(await client.publish('n', events(1, 1), numbered(2, 1)), E, 'post', 200);
  check(await client.publish('n', events(0, 1), numbered(1, 0)), E, 'post', 403);
  check(await client.publish('n', events(9, 9), numbered(2, 9)), E, 'post', 409);
  check(await client.send('POST', '/api/topics/n/events?ack=replicas:1', { headers: { 'content-type': 'application/json' }, body: '{"type":"a"}' }), E, 'post', 503);
  check(await client.get('/api/topics/t/events'), E, 'get', 200);
  check(await client.get('/api/topics/never/events'), E, 'get', 404);
  check(await client.get('/api/topics/t'), '/api/topics/{topic}', 'get', 200);
  check(await client.get('/api/topics'), '/api/topics', 'get', 200);
  check(await client.get('/api/topics?x=1'), '/api/topics', 'get', 400);
  check(await client.poll('topic=t&since=earliest'), '/api/events', 'get', 200);
  check(await client.poll('topic=t'), '/api/events', 'get', 200);
  check(await client.poll('topic=t&nope=1'), '/api/events', 'get', 400);
  check(await client.get('/api/events?topic=t', { accept: 'image/png' }), '/api/events', 'get', 406);
  check(await client.get('/healthz'), '/healthz', 'get', 200);
  const L = '/api/limits/{bucket}';
  for (const [name, { value }] of Object.entries(api.paths[L].put.requestBody.content['application/json'].examples)) {
    const body = JSON.stringify(value);
    check(await client.send('PUT', `/api/limits/${name}`, { body }), L, 'put', 201);
    check(await client.send('PUT', `/api/limits/${name}`, { body }), L, 'put', 200);
    check(await client.get(`/api/limits/${name}`), L, 'get', 200);
    check(await client.send('POST', `/api/limits/${name}/take`, { body: '{"tokens":100}' }), `${L}/take`, 'post', 200);
    const answer = await client.get(`/api/limits/${name}/check`);
    check(answer, `${L}/check`, 'get', answer.status);
  }
  check(await client.get('/api/limits'), '/api/limits', 'get', 200);
  check(await client.get('/api/limits/none'), L, 'get', 404);
  check(await client.send('PUT', '/api/limits/x', { body: '{}' }), L, 'put', 400);
  for (const bucket of ['exact', 'leased', 'none']) {
    check(await client.send('POST', '/api/limits/take', { body: JSON.stringify({ take: [{ bucket }] }) }), '/api/limits/take', 'post', bucket === 'none' ? 404 : 200);
  }
  check(await client.get('/readyz'), '/readyz', 'get', 200);
  const B = '/api/breakers/{name}';
  const breaker = (method, what, body) => client.send(method, `/api/breakers/b${what}`, body ? { body: JSON.stringify(body) } : {});
  for (const [name, { value }] of Object.entries(api.paths[B].put.requestBody.content['application/json'].examples)) {
    check(await client.send('PUT', `/api/breakers/${name}`, { body: JSON.stringify(value) }), B, 'put', 201);
  }
  check(await breaker('PUT', '', { failure_threshold: 1, timeout_ms: 1, success_threshold: 1 }), B, 'put', 201);
  check(await breaker('PUT', '', { failure_threshold: 1, timeout_ms: 1, success_threshold: 1 }), B, 'put', 200);
  check(await breaker('PUT', '', { quorum: 0 }), B, 'put', 400);
  check(await breaker('POST', '/acquire'), `${B}/acquire`, 'post', 200);
  check(await breaker('POST', '/report', { outcome: 'failure', latency_ms: 1.5 }), `${B}/report`, 'post', 200);
  check(await breaker('POST', '/report', {}), `${B}/report`, 'post', 400);
  check(await breaker('POST', '/force', { state: 'open' }), `${B}/force`, 'post', 200);
  check(await breaker('POST', '/acquire'), `${B}/acquire`, 'post', 200);
  check(await breaker('GET', ''), B, 'get', 200);
  check(await client.get('/api/breakers'), '/api/breakers', 'get', 200);
  assert.equal((await breaker('DELETE', '')).status, 204);
  check(await breaker('GET', ''), B, 'get', 404);
  check(await breaker('POST', '/acquire'), `${B}/acquire`, 'post', 404);
  const ce = { specversion: '1.0', id: '1', source: '/s', type: 'a.b', dataschema: 'https://example.org/s', partitionkey: 7, repoid: '42', taskid: 7, sessionid: 's', serviceid: 'v', requestid: 'r', data: { n: 1 } };
  assert.deepEqual(faults(api.components.schemas.CloudEvent, ce), []);
  check(await client.publish('ce', JSON.stringify(ce), { 'content-type': 'application/cloudevents+json' }), E, 'post', 201);
  check(await client.get('/api/topics/ce/events'), E, 'get', 200);
  for (const type of ['a', 'a.b', 'a..b', '.a', 'a.', '-', 'a_b.c-d', 'a b', 'x'.repeat(200), 'x'.repeat(201)]) {
    const fits = faults(api.components.schemas.EventType, type).length === 0;
    check(await client.publish('types', { type }), E, 'post', fits ? 201 : 400);
  }
  const sinceOf = resolve(api.paths['/api/events'].get.parameters.find((p) => resolve(p).name === 'since')).schema;
  for (const since of ['earliest', '0', '1-2', '-500ms', '-1d', '-1w', '5m', '-m']) {
    check(await client.poll(`topic=t&wait_ms=0&since=${since}`), '/api/events', 'get', faults(sinceOf, since).length === 0 ? 200 : 400);
  }
  // Control events: their data has schemas of its own.
  const [old] = await client.published('g', events(1, 5));
  await w.store.cli('XTRIM', 'weft:{0}:log:g', 'MAXLEN', '=', '1');
  const stream = await w.follow(node, 'topic=g', { lastEventId: old });
  assert.deepEqual(faults(api.components.schemas.Open, stream.all[0].data), []);
  assert.deepEqual(faults(api.components.schemas.Gap, (await stream.waitControl('weft.gap')).data), []);
  await stream.take(1);
  assert.deepEqual(faults(api.components.schemas.Event, stream.events[0]), []);
  const connections = await until(async () => {
    const answer = await client.get('/api/connections');
    return answer.json.slowest.length > 0 && answer;
  }, { what: 'the stream to be listed' });
  check(connections, '/api/connections', 'get', 200);
  check(await client.get('/api/connections?sort=x'), '/api/connections', 'get', 400);
  await node.stop();
  assert.deepEqual(faults(api.components.schemas.Moved, (await stream.waitControl('weft.moved')).data), []);
});

story('the node hands out the file', async (w) => {
  const [node] = await w.cluster();
  const answer = await w.client(node).get('/api/openapi.yaml');
  assert.equal(answer.status, 200);
  assert.match(String(answer.headers['content-type']), /yaml/);
  assert.equal(answer.text, source);
});
