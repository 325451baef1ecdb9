// The first page. A person opens the node's address in a browser: the page and its files come from the node itself, under a
// policy that lets nothing else in.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { ROOT } from './lib/node.mjs';

const files = [
  ['/', 'index.html', /^text\/html; ?charset=utf-8$/i],
  ['/app.js', 'app.js', /^(text|application)\/javascript/i],
  ['/style.css', 'style.css', /^text\/css/i],
  ['/icon.svg', 'icon.svg', /^image\/svg\+xml$/i],
];

story('the page and its files, as they lie in the repository', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  for (const [url, file, type] of files) {
    const answer = await api.get(url);
    assert.equal(answer.status, 200, url);
    assert.match(String(answer.headers['content-type']), type);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(answer.text, readFileSync(path.join(ROOT, 'pkg/dashboard', file), 'utf8'));
    const head = await api.send('HEAD', url);
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    if (answer.headers.etag) {
      const again = await api.get(url, { 'if-none-match': answer.headers.etag });
      assert.equal(again.status, 304, `${url} with its etag`);
      assert.equal(again.text, '');
    }
  }
});

story('its policy: only what comes from here, no framing, nothing inline', async (w) => {
  const [node] = await w.cluster();
  const answer = await w.client(node).get('/');
  const policy = String(answer.headers['content-security-policy']);
  assert.match(policy, /default-src 'self'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:|data:/);
  const page = answer.text;
  for (const script of page.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/gi)) {
    assert.match(script[1], /\bsrc="\/?app\.js"/);
    assert.equal(script[2].trim(), '');
  }
  assert.doesNotMatch(page, /<style|\sstyle=|\son[a-z]+=|javascript:/i);
  assert.doesNotMatch(page, /(?:src|href)="(?:https?:)?\/\//i);
});

story('the script builds the page from text, never from markup', async (w) => {
  const [node] = await w.cluster();
  const script = (await w.client(node).get('/app.js')).text;
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/);
});

story('the page names every element once and labels what can be typed into', async (w) => {
  const [node] = await w.cluster();
  const page = (await w.client(node).get('/')).text;
  assert.match(page, /<html[^>]*\blang="en"/);
  assert.match(page, /<title>[^<]+<\/title>/);
  const ids = [...page.matchAll(/\bid="([^"]+)"/g)].map((m) => m[1]);
  assert.equal(new Set(ids).size, ids.length);
  for (const field of page.matchAll(/<(input|select|textarea)\b[^>]*>/g)) {
    const id = /\bid="([^"]+)"/.exec(field[0])?.[1];
    assert.ok(id && page.includes(`for="${id}"`), `${field[0]} has no label`);
  }
  for (const wanted of (await w.client(node).get('/app.js')).text.matchAll(/\$\('([^']+)'\)/g)) {
    assert.ok(ids.includes(wanted[1]), `app.js looks for #${wanted[1]}`);
  }
});
