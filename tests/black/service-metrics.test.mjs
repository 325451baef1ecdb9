// What a node shows at /metrics: promtool has nothing to say against it (if it is installed), and of many services it shows
// as many as it may, the rest as `other`; the command line shows services and nodes as the API does.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

const SET = { control: { lease_ms: 1000 }, services: { programs: '*' } };

async function checked(text) {
  try {
    const done = await run(process.env.WEFT_PROMTOOL ?? 'promtool', ['check', 'metrics'], { input: text });
    if (done.error) return null;
    return done;
  } catch {
    return null;
  }
}

story('the names of the seed, and nothing that promtool minds', async (w) => {
  const [node] = await w.cluster(1, { node: { set: SET } });
  const api = w.client(node);
  await api.send('PUT', '/api/services/web', { body: JSON.stringify({ kind: 'url', url: `${node.origin}/healthz`, interval_ms: 100 }) });
  await api.send('PUT', '/api/services/job', { body: JSON.stringify({ kind: 'command', command: ['sleep', '1000'], start_ms: 10, autostart: true }) });
  const text = await until(async () => {
    const { text } = await api.get('/metrics');
    return /service_requests_total\{service="web"\} [1-9]/.test(text) && /service_up\{service="job"\} 1/.test(text) && text;
  }, { what: 'both to be counted' });
  for (const line of ['service_success_rate{service="web"} 1', 'service_up{service="web"} 1', 'service_starts_total{service="job"} 1', 'service_requests_total{service="other"} 0']) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
  assert.match(text, /^service_response_time_average_seconds\{service="web"\} 0\.\d+$/m);
  const done = await checked(text);
  if (done === null) {
    w.note('promtool is not installed (package prometheus): not checked');
    return;
  }
  const complaints = `${done.stdout}\n${done.stderr}`.split('\n').filter((line) => line !== '');
  assert.deepEqual(complaints, []);
});

story('many services: a bounded number of rows, and nothing is lost', async (w) => {
  const [node] = await w.cluster(1, { node: { set: SET } });
  const api = w.client(node);
  const many = 150;
  for (let i = 0; i < many; i++) {
    const answer = await api.send('PUT', `/api/services/s-${i}`, { body: JSON.stringify({ kind: 'url', url: `${node.origin}/healthz`, interval_ms: 1000 }) });
    assert.equal(answer.status, 201);
  }
  const { text, rows } = await until(async () => {
    const { text } = await api.get('/metrics');
    const rows = [...text.matchAll(/^service_requests_total\{service="([^"]+)"\} (\d+)$/gm)];
    return rows.reduce((sum, row) => sum + Number(row[2]), 0) >= 2 * many && { text, rows };
  }, { what: 'all to be probed' });
  assert.equal(rows.length, 101);
  assert.ok(Number(rows.find((row) => row[1] === 'other')[2]) > 0);
  assert.ok(!text.includes('service_up{service="other"}'));
  const { json } = await api.get('/api/services?limit=100');
  const rest = (await api.get(`/api/services?after=${json.next}&limit=100`)).json;
  assert.deepEqual([json.services.length, rest.services.length, rest.next], [100, 50, null]);
  const ids = [...json.services, ...rest.services].map((s) => s.id);
  assert.deepEqual(ids, [...ids].sort());
});

story('weft services, weft nodes', async (w) => {
  const nodes = await w.cluster(2, { node: { set: SET } });
  const weft = (command, ...words) => run(bin('weft'), [command, '--url', nodes[0].origin, ...words], { env: cleanEnv() });
  const fine = async (...words) => {
    const done = await weft(...words);
    assert.equal(done.code, 0, done.stderr);
    return done.stdout;
  };
  assert.match(await fine('services', 'probe', 'web', `${nodes[0].origin}/healthz`, 'interval_ms=100', 'version=1.10'), /^version\t1\.10$/m);
  await fine('services', 'run', 'job', 'start_ms=10', 'run_on=b', 'restart=never', '--', 'sh', '-c', 'A=1; sleep 1000');
  assert.match(await fine('services', 'start', 'job'), /^want\trunning$/m);
  await until(async () => /^job\trunning\tb\t\d+\nweb\thealthy\t[ab]\t\d+$/.test(await fine('services')), { what: 'both to be well' });
  assert.match(await fine('services', 'health'), /^job\thealthy\t0\.000\nweb\thealthy\t\d+\.\d+$/);
  assert.match(await fine('services', 'metrics', 'job'), /^starts\t1$/m);
  assert.deepEqual(JSON.parse(await fine('services', 'job', '--json')).command, ['sh', '-c', 'A=1; sleep 1000']);
  await fine('services', 'stop', 'job');
  await fine('services', 'remove', 'web');
  const missing = await weft('services', 'web');
  assert.deepEqual([missing.code, /no such service/.test(missing.stderr)], [1, true]);
  assert.equal((await weft('services', 'dance', 'job')).code, 2);
  await until(async () => (await fine('nodes')).split('\n').length === 2, { what: 'both nodes' });
  assert.match(await fine('nodes'), new RegExp(`^a\t${new URL(nodes[0].origin).host}\t[0-9.]+\t\\d+\t\\d+\t\\d+\\.\\d\nb\t`));
});
