// The page of a node in a real browser: it loads without an error on its console, shows events as they come, publishes, keeps what
// is hostile as text, and goes on after its node has restarted.
import assert from 'node:assert/strict';
import { story } from '../black/lib/story.mjs';
import { openPage, startBrowser } from '../black/lib/browser.mjs';
import { event, events } from '../black/lib/http.mjs';
import { bearer, Issuer } from '../black/lib/token.mjs';

const SOON = { sse: { retry_ms: 50, retry_jitter_ms: 50 } };

const state = (page, wanted) => page.waitForFunction((text) => document.getElementById('state').textContent === text, wanted, { polling: 20 });
const shown = (page, n) => page.waitForFunction((want) => document.querySelectorAll('#events > li').length === want, n, { polling: 20 });
const rows = (page) => page.$$eval('#events > li', (items) => items.map((li) => ({
  topic: li.querySelector('.topic').textContent, type: li.querySelector('.type').textContent, payload: li.querySelector('.payload').textContent,
})));

story('live events and topics, newest first; no error on the console', async (w) => {
  const [a, b] = await w.cluster(2, { node: { set: SOON } });
  const page = await openPage(await startBrowser(w), a.origin, { at: '/' });
  assert.equal(await page.title(), 'weft');
  await state(page, 'connected');
  assert.match(await page.textContent('#node'), /^node a$/);
  await w.client(b).published('repo:42', events(1, 30));
  await w.client(b).published('orders', event(31));
  await shown(page, 31);
  const list = await rows(page);
  assert.deepEqual(list.map((row) => JSON.parse(row.payload).n), Array.from({ length: 31 }, (_, i) => 31 - i));
  assert.deepEqual([list[0].topic, list[0].type], ['orders', 'test.counted']);
  assert.equal(await page.textContent('#count'), '31');
  assert.deepEqual(await page.$$eval('#topics button', (buttons) => buttons.map((button) => button.textContent)), ['orders', 'repo:42']);
  assert.equal(await page.textContent('#cursor'), (await w.store.ids('orders'))[0]);
  assert.deepEqual(page.failures, []);
});

story('a person publishes, follows one topic from the beginning, and stops', async (w) => {
  const [node] = await w.cluster(1, { node: { set: SOON } });
  await w.client(node).published('other', event(1));
  const page = await openPage(await startBrowser(w), node.origin, { at: '/' });
  await state(page, 'connected');
  await page.fill('#topic', 'mine');
  await page.fill('#type', 'note.written');
  await page.fill('#payload', '{"text": "<img src=x onerror=alert(1)>"}');
  await page.click('#publish-form button[type=submit]');
  await shown(page, 1);
  assert.deepEqual(await rows(page), [{ topic: 'mine', type: 'note.written', payload: '{"text":"<img src=x onerror=alert(1)>"}' }]);
  assert.equal(await page.$('#events img'), null, 'text stays text');
  assert.match(await page.textContent('#published'), /^Published as \d+-\d+$/);
  await page.fill('#follow', 'other');
  await page.selectOption('#since', 'earliest');
  await page.click('#clear');
  await page.click('#follow-form button[type=submit]');
  await shown(page, 1);
  assert.equal((await rows(page))[0].topic, 'other');
  await page.click('#stop');
  await state(page, 'disconnected');
  await node.metricReaches('weft_subscribers', 0);
  assert.deepEqual(page.failures, []);
});

story('its node restarts: it says so, and goes on where it was', async (w) => {
  const nodes = await w.cluster(2, { node: { set: SOON } });
  const page = await openPage(await startBrowser(w), nodes[0].origin, { at: '/' });
  await state(page, 'connected');
  await w.client(nodes[1]).published('t', events(1, 10));
  await shown(page, 10);
  await nodes[0].kill();
  await page.waitForFunction(() => /reconnecting|error/.test(document.getElementById('state').textContent), undefined, { polling: 20 });
  await w.client(nodes[1]).published('t', events(11, 20));
  await w.node({ id: 'a', port: nodes[0].port, set: SOON });
  await shown(page, 20);
  await state(page, 'connected');
  assert.deepEqual((await rows(page)).map((row) => JSON.parse(row.payload).n), Array.from({ length: 20 }, (_, i) => 20 - i));
});

story('where a token is needed the page says so, takes one, and is told when it ends', async (w) => {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { ...SOON, auth: { anonymous: 'none', jwks: issuer.file, leeway_s: 0 } } } });
  const page = await openPage(await startBrowser(w), node.origin, { at: '/' });
  await state(page, 'error');
  assert.match(await page.textContent('#detail'), /token/);
  const use = async (token) => {
    await page.fill('#token', token);
    await page.click('#token-form button');
  };
  await use(issuer.token({ subscribe: ['*'], publish: ['hello'], jti: 'page' }));
  await state(page, 'connected');
  await page.click('#publish-form button[type=submit]');
  await shown(page, 1);
  assert.match(await page.textContent('#published'), /^Published as/);
  const operator = bearer(issuer.token({ roles: ['operator'] }));
  assert.equal((await w.client(node).send('PUT', '/api/revocations/page', { headers: operator })).status, 200);
  await state(page, 'error');
  assert.match(await page.textContent('#detail'), /revoked/);
});

story('what the page says of a gap and of its end is what the node has told', async (w) => {
  const [node] = await w.cluster(1, { node: { set: SOON } });
  const page = await openPage(await startBrowser(w), node.origin, { at: '/' });
  await state(page, 'connected');
  const gap = (reason) => ({ topic: 't', after: '1-1', next: '1-3', reason });
  const told = [
    { stream: 'a-0-1', node: 'a', cursor: '1-1', topics: ['t'], heartbeat_ms: 15000 },
    gap('trimmed'), gap('reset'), gap('slow'),
    { reason: 'closed', cursor: '1-3' },
  ];
  await page.route('**/api/events?*', (route) => route.fulfill({ contentType: 'text/event-stream', body: `retry: 100000\n\n${told.map((data) => `data: ${JSON.stringify(data)}\n\n`).join('')}` }));
  await page.evaluate(() => {
    globalThis.details = [];
    const detail = document.getElementById('detail');
    new MutationObserver(() => globalThis.details.push(detail.textContent)).observe(detail, { childList: true, characterData: true, subtree: true });
  });
  await page.fill('#follow', 't');
  await page.click('#follow-form button[type=submit]');
  await page.waitForFunction(() => document.querySelectorAll('#events > li.gap').length === 3, undefined, { polling: 20 });
  const gaps = await page.$$eval('#events > li.gap', (items) => items.map((li) => li.textContent));
  assert.match(gaps[2], /retention/);
  assert.match(gaps[1], /reset/);
  assert.match(gaps[0], /slow/);
  const details = await page.evaluate(() => globalThis.details);
  assert.ok(details.some((text) => /ended: closed/.test(text)), details.join(', '));
  assert.ok(!details.some((text) => /is away/.test(text)), details.join(', '));
});
