// The page of a node: topics, a live tail, a form to publish. Text only ever becomes textContent.
'use strict';

const SHOWN_EVENTS = 200;
const SHOWN_TOPICS = 500;
const $ = (id) => document.getElementById(id);

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The sentence of a problem+json answer, with the field it is about.
async function complaint(answer) {
  try {
    const { error } = await answer.json();
    return error.field ? `${error.field}: ${error.message}` : error.message;
  } catch {
    return `the node answered ${answer.status}`;
  }
}

// ---- the token: of this tab alone; an EventSource can only show it in its URL

const TOKEN = 'weft.token';

const token = () => sessionStorage.getItem(TOKEN) ?? '';

const withToken = (headers) => (token() ? { ...headers, authorization: `Bearer ${token()}` } : headers);

// ---- connection: one EventSource, and this page's own retries where EventSource gives up

const live = {
  source: null,
  timer: 0,
  failures: 0,
  query: null, // what is followed, as URLSearchParams
  cursor: '',
  count: 0,
};

// disconnected, connecting, connected, reconnecting or error
function setState(state, detail = '') {
  $('dot').dataset.state = state;
  $('state').textContent = state;
  $('detail').textContent = detail;
  $('stop').disabled = state === 'disconnected';
}

function setCursor(id) {
  live.cursor = id;
  $('cursor').textContent = id || 'none';
}

function follow(patterns, types, since) {
  stop();
  live.query = new URLSearchParams({ named: '0' });
  for (const pattern of patterns) live.query.append('topic', pattern);
  if (types) live.query.set('types', types);
  if (since) live.query.set('since', since);
  live.failures = 0;
  setCursor('');
  setState('connecting');
  connect();
}

function connect() {
  const query = new URLSearchParams(live.query);
  if (live.cursor) query.set('lastEventId', live.cursor);
  if (token()) query.set('token', token());
  const source = new EventSource(`/api/events?${query}`);
  live.source = source;
  source.onmessage = (message) => {
    if (live.source !== source) return;
    if (message.lastEventId) setCursor(message.lastEventId);
    arrived(JSON.parse(message.data));
  };
  source.onerror = () => {
    if (live.source !== source) return;
    if (source.readyState === EventSource.CONNECTING) {
      setState('reconnecting');
    } else {
      source.close();
      refused(query);
    }
  };
}

// EventSource does not say why it gave up: ask again, as a poll that does not wait.
async function refused(query) {
  const wait = Math.min(30_000, 1000 * 2 ** live.failures++);
  const source = live.source;
  let reason = 'the node cannot be reached';
  query.set('wait_ms', '0');
  query.set('limit', '1');
  query.delete('token');
  try {
    const answer = await fetch(`/api/events?${query}`, { headers: withToken({ accept: 'application/json' }) });
    reason = answer.ok ? 'the stream was refused' : await complaint(answer);
  } catch {
    // the sentence above
  }
  if (live.source !== source) return;
  setState('error', `${reason}; again in ${Math.round(wait / 1000)} s`);
  live.timer = setTimeout(() => {
    setState('reconnecting');
    connect();
  }, wait);
}

function stop() {
  clearTimeout(live.timer);
  live.source?.close();
  live.source = null;
  setState('disconnected');
}

// With named=0 the events of the node itself are told by their members.
function arrived(data) {
  if (data.type !== undefined) {
    live.count++;
    show(data);
    noteTopic(data.topic, data.id);
  } else if (data.stream !== undefined) {
    live.failures = 0;
    setState('connected');
    $('node').textContent = `node ${data.node}`;
  } else if (data.after !== undefined) {
    show({ gap: data });
  } else if (data.retry_ms !== undefined) {
    setState('reconnecting', 'the node sends its clients to another one');
  } else if (['expired', 'revoked'].includes(data.reason)) {
    stop();
    setState('error', `the token was ${data.reason === 'revoked' ? 'revoked' : 'good until now'}: another one is needed`);
  } else if (data.expires_ms !== undefined) {
    $('detail').textContent = data.in_ms === undefined ? '' : `the token ends in ${Math.round(data.in_ms / 1000)} s`;
  } else if (data.cursor !== undefined) {
    setState('reconnecting', `the stream was ended: ${data.reason}`);
  } else if (data.reason !== undefined) {
    setState('connected', `${data.reason} is away: events will follow`);
  } else {
    setState('connected');
  }
}

// ---- the list of events: drawn once a frame, never longer than SHOWN_EVENTS

let waiting = [];
let drawing = false;

function show(item) {
  waiting.push(item);
  if (waiting.length > SHOWN_EVENTS) waiting.shift();
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

function draw() {
  const list = $('events');
  const rows = waiting.map((item) => (item.gap ? gapRow(item.gap) : eventRow(item)));
  waiting = [];
  drawing = false;
  list.prepend(...rows.reverse());
  while (list.childElementCount > SHOWN_EVENTS) list.lastElementChild.remove();
  $('count').textContent = String(live.count);
  $('empty').hidden = list.childElementCount > 0;
}

function eventRow(event) {
  const row = element('li', 'event');
  const details = element('details');
  const line = element('summary');
  const at = new Date(event.ts);
  const time = element('time', 'quiet', Number.isNaN(at.getTime()) ? String(event.ts) : at.toLocaleTimeString());
  if (!Number.isNaN(at.getTime())) time.dateTime = at.toISOString();
  line.append(
    time,
    element('span', 'topic', event.topic),
    element('strong', 'type', event.type),
    element('code', 'payload', JSON.stringify(event.payload).slice(0, 300)),
  );
  details.append(line);
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) {
      details.append(element('pre', '', JSON.stringify(event, null, 2)));
    }
  });
  row.append(details);
  return row;
}

const GAP_REASONS = {
  trimmed: 'retention removed events',
  reset: 'the history was reset',
  slow: 'this page was slow, and events were left out',
};

function gapRow(gap) {
  const why = GAP_REASONS[gap.reason] ?? `events are missing (${gap.reason})`;
  const next = gap.next ? `goes on with ${gap.next}` : 'nothing is held';
  return element('li', 'gap', `Gap in ${gap.topic}: ${why} after ${gap.after}; ${next}.`);
}

// ---- topics

const topics = new Map(); // name to { seq, row }
let nextPage = null;

function topicRow(name) {
  const row = element('li');
  const button = element('button', 'link', name);
  button.type = 'button';
  button.addEventListener('click', () => {
    $('follow').value = name;
    $('topic').value = name;
    $('follow-form').requestSubmit();
  });
  const seq = element('span', 'quiet');
  row.append(button, seq);
  return { row, seq };
}

function setTopic(name, last) {
  let entry = topics.get(name);
  if (!entry) {
    if (topics.size >= SHOWN_TOPICS) return;
    entry = topicRow(name);
    topics.set(name, entry);
    const after = [...topics.keys()].filter((other) => other > name).sort()[0];
    $('topics').insertBefore(entry.row, after === undefined ? null : topics.get(after).row);
    $('topics-note').textContent = '';
  }
  entry.seq.textContent = String(last);
}

// A topic seen on the stream belongs to the list, if it is of the prefix that is shown.
function noteTopic(name, id) {
  if (name.startsWith($('prefix').value)) setTopic(name, id.split('-')[1]);
}

async function loadTopics(after) {
  const query = new URLSearchParams({ limit: '100' });
  if ($('prefix').value) query.set('prefix', $('prefix').value);
  if (after) query.set('after', after);
  let answer;
  try {
    answer = await fetch(`/api/topics?${query}`, { headers: withToken({}) });
  } catch {
    $('topics-note').textContent = 'the node cannot be reached';
    return;
  }
  if (!answer.ok) {
    $('topics-note').textContent = await complaint(answer);
    return;
  }
  const page = await answer.json();
  if (!after) {
    topics.clear();
    $('topics').replaceChildren();
  }
  for (const { topic, last_seq: last } of page.topics) setTopic(topic, last);
  nextPage = page.next;
  $('topics-more').hidden = nextPage === null || topics.size >= SHOWN_TOPICS;
  $('topics-note').textContent = topics.size === 0 ? 'None yet.' : '';
}

// ---- publishing

async function publish() {
  const note = $('published');
  let payload;
  try {
    payload = JSON.parse($('payload').value || '{}');
  } catch (error) {
    note.className = 'bad';
    note.textContent = `The payload is not JSON: ${error.message}`;
    return;
  }
  note.textContent = '';
  try {
    const answer = await fetch(`/api/topics/${encodeURIComponent($('topic').value)}/events`, {
      method: 'POST',
      headers: withToken({ 'content-type': 'application/json' }),
      body: JSON.stringify({ type: $('type').value, payload }),
    });
    note.className = answer.ok ? 'good' : 'bad';
    note.textContent = answer.ok ? `Published as ${(await answer.json()).ids[0]}` : await complaint(answer);
  } catch {
    note.className = 'bad';
    note.textContent = 'The node cannot be reached.';
  }
}

// ---- what the person does

function onSubmit(id, act) {
  $(id).addEventListener('submit', (event) => {
    event.preventDefault();
    act();
  });
}

onSubmit('follow-form', () => {
  const patterns = $('follow').value.split(/[\s,]+/).filter((pattern) => pattern !== '');
  const types = $('types').value.split(/[\s,]+/).filter((type) => type !== '').join(',');
  follow(patterns, types, $('since').value);
});
onSubmit('topics-form', () => loadTopics());
onSubmit('token-form', () => {
  if ($('token').value) sessionStorage.setItem(TOKEN, $('token').value.trim());
  else sessionStorage.removeItem(TOKEN);
  $('token').value = '';
  $('token').placeholder = token() ? 'in use' : 'none';
  loadTopics();
  $('follow-form').requestSubmit();
});
onSubmit('publish-form', publish);
$('topics-more').addEventListener('click', () => loadTopics(nextPage));
$('stop').addEventListener('click', stop);
$('clear').addEventListener('click', () => {
  $('events').replaceChildren();
  live.count = 0;
  draw();
});

$('token').placeholder = token() ? 'in use' : 'none';
loadTopics();
$('follow-form').requestSubmit();
