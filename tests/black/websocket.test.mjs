// WebSocket: everything that event streams have, several subscriptions on one socket, and publishing on it.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';

story('a socket follows a topic; its events are those of an event stream', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [id] = await api.published('t', event(0));
  for (const path of ['/ws', '/api/ws']) {
    const ws = await w.ws(node, { path });
    assert.equal(ws.head.headers['sec-websocket-protocol'], 'weft.v1');
    const open = await ws.subscribe('t');
    assert.equal(open.cursor, id);
    const sse = await w.follow(node, `topic=t&lastEventId=${id}`);
    const ids = await api.published('t', events(1, 3));
    assert.deepEqual((await ws.take(3)).map((e) => e.id), ids);
    await sse.take(3);
    assert.deepEqual(ws.events, sse.events);
    await api.published('t', event(0));
    return;
  }
});
