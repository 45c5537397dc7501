// Shared by the pages: elements, numbers in words, copying, and the events of a stream.

/** Returns the element with this id. */
export const $ = (id) => document.getElementById(id);

/** Makes an element with attributes, and with text or elements in it. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Sets the text of an element; screen readers repeat a text that is set again, even an equal one. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Longest name shown, in characters. */
const SHOWN_MAX = 255;

/** Returns text of others as it may be shown: as `shown` in src/web/receive.rs. */
export function shown(text) {
  const changes = /[\p{Cc}\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;
  return [...text.replace(changes, '\uFFFD')].slice(0, SHOWN_MAX).join('');
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Formats a number of bytes: `17 B`, `3.4 MiB`, `122 GiB`. */
export function size(bytes) {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let unit = 0;
  let value = bytes / 1024;
  for (; value >= 1023.95 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Formats a time with at most two units: `0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`. */
export function time(seconds) {
  const s = Math.floor(seconds);
  if (seconds < 10) return `${Number.isInteger(seconds) ? s : seconds.toFixed(1)} s`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

const LIMITS = {
  source: 'the sender',
  destination: 'the receiver',
  network_in: "the sender's network",
  network_out: "the receiver's network",
  rate: 'the relay (rate limit)',
};

/** Returns what limits a transfer, or an empty text. */
export const limit = (status) => LIMITS[status.bottleneck?.side] ?? '';

/** Period over which a rate is measured, in milliseconds. */
const RATE_WINDOW = 3000;

/** Measures the rate of a transfer. */
export class Pace {
  #samples = [];

  /** Takes the number of bytes so far. */
  add(bytes) {
    const now = performance.now();
    this.#samples.push({ now, bytes });
    while (this.#samples.length > 2 && now - this.#samples[1].now > RATE_WINDOW) this.#samples.shift();
  }

  /** Bytes per second. */
  get rate() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const elapsed = last ? last.now - first.now : 0;
    return elapsed > 200 ? ((last.bytes - first.bytes) * 1000) / elapsed : 0;
  }
}

/** Shows the progress of a transfer in `#progress`, `#amount`, `#rate`, `#left` and `#bottleneck`. */
export class Progress {
  #pace = new Pace();
  #started = performance.now();

  constructor() {
    $('progress').removeAttribute('value');
  }

  /** Shows a status object; without a total the bar is indeterminate. */
  show(status, total) {
    const bytes = status.bytes_transferred;
    const bar = $('progress');
    this.#pace.add(bytes);
    const { rate } = this.#pace;
    // A bar without a maximum above 0 is not valid: an empty file is complete when the stream is.
    if (total > 0) {
      bar.max = total;
      bar.value = bytes;
    } else if (status.state === 'FINISHED') {
      bar.value = bar.max;
    }
    const percent = total > 0 ? ` (${Math.floor((bytes * 100) / total)} %)` : '';
    write($('amount'), (total > 0 ? `${size(bytes)} of ${size(total)}` : size(bytes)) + percent);
    write($('rate'), status.active && rate ? `${size(rate)}/s` : '');
    const left = total > 0 && rate ? `${time(Math.ceil((total - bytes) / rate))} left` : '';
    write($('left'), status.active && bytes < total ? left : '');
    write($('bottleneck'), status.active && limit(status) ? `limited by ${limit(status)}` : '');
  }

  /** Summarizes a complete transfer: `5.0 GiB in 42 s, 122 MiB/s`. */
  summary(bytes) {
    const seconds = (performance.now() - this.#started) / 1000;
    return seconds < 0.1 ? size(bytes) : `${size(bytes)} in ${time(seconds)}, ${size(bytes / seconds)}/s`;
  }
}

/** Copies a text, also on pages without TLS, where browsers have no clipboard API. */
async function copy(text) {
  if (window.isSecureContext && navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: the old way can still work.
    }
  }
  const focused = document.activeElement;
  const area = make('textarea', { class: 'hidden', readonly: '', 'aria-hidden': 'true' }, text);
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  return copied;
}

/** Makes the buttons with `data-copy` copy the text of the element with that id. */
export function enableCopying() {
  for (const button of document.querySelectorAll('[data-copy]')) {
    const label = button.textContent;
    button.hidden = false;
    let timer;
    // Screen readers then read the new label.
    button.setAttribute('aria-live', 'polite');
    button.addEventListener('click', async () => {
      const source = $(button.dataset.copy);
      const copied = await copy(source.value ?? source.textContent);
      write(button, copied ? 'Copied' : 'Press Ctrl+C');
      if (!copied) source.select ? source.select() : getSelection().selectAllChildren(source);
      clearTimeout(timer);
      timer = setTimeout(() => write(button, label), 2000);
    });
  }
}

// A shell interprets other characters, and a host may have them: `$(…)`. As in src/relay/pages/mod.rs.
const PLAIN_HOST = /^[A-Za-z0-9.:[\]_-]+$/;

/** The token of the stream that a page shows, as a query. */
export const query = $('receive')?.dataset.query ?? '';

/** Whether an identifier shows a node (UUID of version 8): other nodes redirect to it. */
export const showsNode = (id) => id[14] === '8';

/** Shows the commands that receive a stream. */
export function showCommands(id) {
  const host = PLAIN_HOST.test(location.host) ? location.host : 'HOST';
  // Some shells give question marks a meaning.
  const quote = query && "'";
  const url = `${quote}${location.protocol}//${host}/stream/${id}${query}${quote}`;
  write($('curl'), `curl -f${showsNode(id) ? 'L' : ''}OJ ${url}`);
  write($('rdv'), `rdv receive ${url}`);
}

/**
 * Follows a stream: passes each status object on, until the stream has ended and its receipt, if one
 * is expected, was received. Returns a function that ends it. `lost` is called if the events are
 * interrupted, with `true` if the browser does not reconnect because the relay refused.
 */
export function follow(id, show, lost = () => {}) {
  const events = new EventSource(`/stream/${id}/events${query}`);
  events.addEventListener('status', (event) => {
    const status = JSON.parse(event.data);
    // After its last event the relay closes the connection: without this, the browser reconnects.
    if (!status.active && status.receipt !== 'expected') events.close();
    show(status);
  });
  events.addEventListener('error', () => lost(events.readyState === EventSource.CLOSED));
  return () => events.close();
}

/** Returns the status object of a stream, or `null` if the relay does not return it. */
export async function status(id) {
  try {
    const response = await fetch(`/stream/${id}/status${query}`, { cache: 'no-store' });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

const LINK = 'Send it again with a new link.';
const ASK = 'Ask the sender for a new link.';
const INCOMPLETE = `The file is incomplete: delete it. ${ASK}`;
const EXPIRED = 'The link expired before both sides connected.';
// For each state at the end: words and advice for the sender, and for the receiver.
const ENDS = {
  TIMEOUT_NO_SRC: [EXPIRED, LINK, EXPIRED, ASK],
  TIMEOUT_NO_DST: ['The link expired: no receiver connected.', LINK, EXPIRED, ASK],
  TIMEOUT_NO_SRC_NO_DST: [EXPIRED, LINK, EXPIRED, ASK],
  SRC_DISCONNECTED: ['Interrupted: the connection to the relay was lost.', LINK, 'Interrupted: the sender disconnected.', INCOMPLETE],
  DST_DISCONNECTED: ['Interrupted: the receiver disconnected.', LINK, 'Interrupted: the receiver disconnected.', INCOMPLETE],
  SRC_ERROR: ['The upload failed', LINK, 'Interrupted: the upload failed', INCOMPLETE],
  DST_ERROR: ['The download failed', LINK, 'Interrupted: the download failed', INCOMPLETE],
};

/** Describes how a stream ended, to its sender or to its receiver: words and advice. */
export function describe(status, isSender) {
  const { name } = status.error ?? {};
  const message = shown(status.error?.message ?? '');
  const advice = isSender ? LINK : status.bytes_transferred > 0 ? INCOMPLETE : ASK;
  if (name === 'StreamDeletedError') {
    return { words: isSender ? 'The stream was deleted.' : 'Cancelled by the sender.', advice };
  }
  if (name === 'TooBusyError') return { words: 'The relay stopped.', advice };
  const end = ENDS[status.state];
  if (!end) return { words: `Error from the other side: ${message || 'unknown'}`, advice };
  const words = end[isSender ? 0 : 2];
  const reason = message ? `: ${message}` : '';
  return { words: words.endsWith('.') ? words : `${words}${reason}.`, advice: end[isSender ? 1 : 3] };
}
