// A Chromium of one's own: its profile lies in the story's folder, and it ends with the story.
import path from 'node:path';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { SLOW } from './wait.mjs';

const PROGRAM = process.env.WEFT_CHROMIUM ?? '/usr/bin/chromium';

// What Chromium calls a certificate: the hash of its public key.
function keyOf(file) {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

// Returns a context with pages. cert: file of the one certificate that is believed without an authority.
export async function startBrowser(w, { cert } = {}) {
  const args = ['--disable-dev-shm-usage'];
  if (process.getuid() === 0) args.push('--no-sandbox');
  if (cert) args.push(`--ignore-certificate-errors-spki-list=${keyOf(cert)}`);
  const context = await chromium.launchPersistentContext(path.join(w.folder, 'chromium'), { executablePath: PROGRAM, args, timeout: 30_000 * SLOW });
  context.setDefaultTimeout(15_000 * SLOW);
  w.atEnd(() => context.close());
  return context;
}

// A page of this origin; what goes to its console as an error, and what it throws, is kept in `failures`.
export async function openPage(context, origin, { at = '/healthz' } = {}) {
  const page = await context.newPage();
  page.failures = [];
  page.on('console', (message) => message.type() === 'error' && page.failures.push(`${message.text()} ${message.location().url}`));
  page.on('pageerror', (error) => page.failures.push(String(error)));
  await page.goto(origin + at);
  return page;
}

// Runs in the page. Each follower: the numbers that it got, the nodes that it was on, what it should not have seen.
function streamIn(url) {
  const source = new EventSource(url);
  const follower = { source, got: [], nodes: [], gaps: 0, errors: 0 };
  (globalThis.testFollowers ??= []).push(follower);
  source.addEventListener('test.counted', (event) => follower.got.push(JSON.parse(event.data).payload.n));
  source.addEventListener('weft.open', (event) => follower.nodes.push(JSON.parse(event.data).node));
  source.addEventListener('weft.gap', () => follower.gaps++);
  source.addEventListener('error', () => follower.errors++);
}

export function follow(page, url) {
  return page.evaluate(streamIn, url);
}

// The same by a WebSocket of this page's origin, which a page has to open again by itself.
function socketIn(topic) {
  const follower = { source: {}, got: [], nodes: [], gaps: 0, errors: 0 };
  let cursor;
  (globalThis.testFollowers ??= []).push(follower);
  const open = () => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, ['weft.v1']);
    follower.source = socket;
    socket.onopen = () => socket.send(JSON.stringify({ op: 'subscribe', topics: [topic], cursor }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      cursor = message.id ?? message.cursor ?? cursor;
      if (message.type === 'weft.open') follower.nodes.push(message.node);
      else if (message.type === 'weft.gap') follower.gaps++;
      else if (message.type === 'weft.error') follower.errors++;
      else if (message.payload) follower.got.push(message.payload.n);
    };
    socket.onclose = () => setTimeout(open, 50);
  };
  open();
}

export function followBySocket(page, topic) {
  return page.evaluate(socketIn, topic);
}

export function followers(page) {
  return page.evaluate(() => globalThis.testFollowers.map(({ source, got, nodes, gaps, errors }) => ({ got, nodes, gaps, errors, state: source.readyState })));
}

// Waits in the page until every follower has begun `opened` times and has `got` events.
export function reach(page, { opened = 1, got = 0 }) {
  return page.waitForFunction(
    (want) => globalThis.testFollowers.every((f) => f.nodes.length >= want.opened && f.got.length >= want.got),
    { opened, got }, { polling: 20 },
  );
}
