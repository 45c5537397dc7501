// The operator's page: figures of the relay, its streams and agents, and control of it. One
// subscription brings everything, once a second; elements are updated, not replaced.

import { $, limit, make, size, time, write } from './common.js';

const SVG = 'http://www.w3.org/2000/svg';
// Seconds in the plots of the relay, and in those of a stream.
const HISTORY = 120;
const STREAM_HISTORY = 60;
const ROWS = 50;
const RECONNECT_MS = 2000;
const ACTIVE = ['CREATED', 'SRC_CONNECTED', 'DST_CONNECTED', 'STREAMING'];

const count = (number) => number.toLocaleString('en');
const seconds = (since) => Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));

/** A line of the last values. */
class Plot {
  #values = [];
  #length;
  #line = document.createElementNS(SVG, 'path');
  #area = document.createElementNS(SVG, 'path');

  constructor(length, name) {
    this.#length = length;
    this.svg = document.createElementNS(SVG, 'svg');
    const attributes = { class: name, viewBox: `0 0 ${length - 1} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true' };
    for (const [key, value] of Object.entries(attributes)) this.svg.setAttribute(key, value);
    this.#area.setAttribute('class', 'area');
    this.svg.append(this.#area, this.#line);
  }

  /** The largest value shown. */
  get peak() {
    return Math.max(0, ...this.#values);
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > this.#length) this.#values.shift();
    const from = this.#length - this.#values.length;
    const scale = 38 / (this.peak || 1);
    const points = this.#values.map((v, at) => `${from + at} ${(39 - v * scale).toFixed(1)}`);
    this.#line.setAttribute('d', `M${points.join('L')}`);
    this.#area.setAttribute('d', `M${from} 40L${points.join('L')}L${this.#length - 1} 40Z`);
  }
}

/** A figure with its plot. */
class Tile {
  #figure = make('p', { class: 'figure' });
  #detail = make('p', { class: 'soft small' });
  #plot = new Plot(HISTORY, 'plot');
  #format;

  constructor(title, format) {
    this.#format = format;
    $('tiles').append(make('section', { class: 'tile' }, make('h2', {}, title), this.#figure, this.#detail, this.#plot.svg));
  }

  show(value, max) {
    this.#plot.add(value);
    write(this.#figure, this.#format(value));
    const peak = `peak ${this.#format(this.#plot.peak)}`;
    write(this.#detail, max === undefined ? peak : `${peak}, limit ${this.#format(max)}`);
  }
}

const tiles = {
  connections: new Tile('Connections', count),
  throughput: new Tile('Throughput', (rate) => `${size(rate)}/s`),
  pipes: new Tile('Pipes lent', count),
  refusals: new Tile('Refusals', (rate) => `${rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate)}/s`),
  turns: new Tile('Mean turn time', (s) => (s < 0.001 ? `${Math.round(s * 1e6)} µs` : `${(s * 1e3).toFixed(1)} ms`)),
};

/** The counters of the previous event, and when it was received. */
let earlier = null;

function showFigures(data) {
  const now = performance.now();
  const { connections, pipes, turns, refused, transferred_bytes: bytes } = data;
  tiles.connections.show(connections.open, connections.max);
  tiles.pipes.show(pipes.lent, pipes.max);
  // After a restart of the relay its counters begin at 0.
  if (earlier?.pid === data.pid && now - earlier.now > 100) {
    const elapsed = (now - earlier.now) / 1000;
    tiles.throughput.show(Math.max(0, bytes - earlier.bytes) / elapsed);
    tiles.refusals.show(Math.max(0, refused - earlier.refused) / elapsed);
    const turned = turns.count - earlier.turns.count;
    tiles.turns.show(turned > 0 ? (turns.seconds - earlier.turns.seconds) / turned : 0);
  }
  earlier = { now, bytes, refused, turns, pid: data.pid };
}

/** Keeps one row for each item: creates, moves and removes rows, and shows the items in them. */
function update(rows, body, items, create) {
  const before = new Map(rows);
  items.forEach((item, at) => {
    const row = rows.get(item.id) ?? create(item);
    rows.set(item.id, row);
    before.delete(item.id);
    if (body.children[at] !== row.tr) body.insertBefore(row.tr, body.children[at] ?? null);
    row.show(item);
  });
  for (const [id, row] of before) {
    row.tr.remove();
    rows.delete(id);
  }
}

/** Makes a row, and returns its cells; a name that begins with `number` aligns right. */
function cells(...classes) {
  const all = classes.map((name) => make('td', name ? { class: name } : {}));
  return { tr: make('tr', {}, ...all), all };
}

function streamRow({ id }) {
  const { tr, all } = cells('', '', 'number', 'number', '', 'number', '', '');
  const [name, state, bytes, rate, spark, age, limited, action] = all;
  const plot = new Plot(STREAM_HISTORY, 'plot spark');
  const button = make('button', { type: 'button', class: 'cancel danger', 'aria-label': `Cancel ${id.slice(0, 8)}` }, 'Cancel');
  name.append(make('code', { title: id }, id.slice(0, 8)));
  spark.append(plot.svg);
  action.append(button);
  button.addEventListener('click', () => {
    const text = `Stream ${id} ends, and its sender and receiver get the status 410.`;
    confirm('Cancel the stream?', text, 'Cancel the stream', () => request('DELETE', `/stream/${id}`));
  });
  let last = null;
  const show = (stream) => {
    const now = performance.now();
    const isActive = ACTIVE.includes(stream.state);
    const moved = last ? Math.max(0, stream.bytes_transferred - last.bytes) : 0;
    const perSecond = last ? (moved * 1000) / Math.max(now - last.now, 1) : 0;
    last = { now, bytes: stream.bytes_transferred };
    write(state, stream.state);
    write(bytes, size(stream.bytes_transferred));
    write(rate, perSecond ? `${size(perSecond)}/s` : '');
    if (stream.state === 'STREAMING') plot.add(perSecond);
    write(age, time(seconds(stream.created_at)));
    write(limited, isActive ? limit(stream) : '');
    button.disabled = !isActive;
  };
  return { tr, show };
}

function agentRow({ id, name, remote_addr: address, connected_at: since }) {
  const { tr, all } = cells('', '', '', 'number', 'number');
  all[0].append(name ?? '(unnamed)');
  all[1].append(make('code', { title: id }, id.slice(0, 8)));
  all[2].append(address);
  const show = ({ requests }) => {
    write(all[3], count(requests));
    write(all[4], time(seconds(since)));
  };
  return { tr, show };
}

const streams = new Map();
const agents = new Map();
const [streamsBody] = $('streams').tBodies;
const [agentsBody] = $('agents').tBodies;
/** Cursors of the pages up to this one, and the one of the next page. */
let pages = [];
let next = null;

function show(data) {
  showState(data.state);
  write($('about'), `rdv ${data.version}, pid ${data.pid}, up ${time(data.uptime_seconds)}`);
  showFigures(data);
  const { active, streaming, held, max } = data.streams;
  write($('counts'), `${count(active)} active, ${count(streaming)} streaming, ${count(held)} held, limit ${count(max)}`);
  update(streams, streamsBody, data.rows.streams, streamRow);
  next = data.rows.next;
  const page = pages.length ? `Streams, page ${pages.length + 1}` : 'Streams';
  write($('streams-title'), page);
  $('older').disabled = next === null;
  $('newer').disabled = pages.length === 0;
  const { total, shown } = data.agents;
  write($('agent-counts'), shown.length < total ? `${count(shown.length)} of ${count(total)} connected` : `${count(total)} connected`);
  update(agents, agentsBody, shown, agentRow);
}

function showState(state) {
  const tones = { serving: 'good', suspended: 'bad', draining: 'bad' };
  $('state').className = `badge ${tones[state] ?? ''}`;
  write($('state'), state);
  $('suspend').disabled = state !== 'serving';
  $('resume').disabled = state !== 'suspended';
  $('drain').disabled = !['serving', 'suspended'].includes(state);
}

let events = null;

/** Subscribes to the rows of this page; the browser reconnects by itself unless it was refused. */
function subscribe() {
  events?.close();
  const query = new URLSearchParams({ rows: ROWS, active: $('active').checked });
  if (pages.length) query.set('before', pages.at(-1));
  const mine = new EventSource(`/watch?${query}`);
  events = mine;
  mine.addEventListener('watch', (event) => show(JSON.parse(event.data)));
  mine.addEventListener('error', () => {
    showState('reconnecting');
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === events && subscribe(), RECONNECT_MS);
  });
}

function turnTo(cursors) {
  pages = cursors;
  $('older').disabled = $('newer').disabled = true;
  subscribe();
}

async function request(method, path) {
  let problem = '';
  try {
    const response = await fetch(path, { method });
    if (!response.ok) problem = (await response.json().catch(() => ({}))).message ?? `status ${response.status}`;
  } catch {
    problem = 'cannot connect to the relay';
  }
  write($('notice'), problem && `${method} ${path} failed: ${problem}`);
  $('notice').hidden = !problem;
}

let confirmed = null;

function confirm(title, text, label, act) {
  confirmed = act;
  write($('confirm-title'), title);
  write($('confirm-text'), text);
  write($('confirm-yes'), label);
  $('confirm').showModal();
  $('confirm-no').focus();
}

function control(id, act, title, text) {
  const label = $(id).textContent;
  $(id).addEventListener('click', () => confirm(title, text, label, () => request('POST', `/control/${act}`)));
}

control('suspend', 'suspend', 'Suspend the relay?', 'New streams are refused with 503. Existing streams continue.');
control('resume', 'resume', 'Resume the relay?', 'The relay accepts new streams again.');
control('drain', 'stop', 'Drain and stop the relay?', 'Waiting clients get 503, running transfers continue, then the process exits. This cannot be undone.');
$('confirm-no').addEventListener('click', () => $('confirm').close());
$('confirm-yes').addEventListener('click', () => {
  $('confirm').close();
  confirmed();
});
$('active').addEventListener('change', () => turnTo([]));
$('older').addEventListener('click', () => next !== null && turnTo([...pages, next]));
$('newer').addEventListener('click', () => turnTo(pages.slice(0, -1)));
subscribe();
