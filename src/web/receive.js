// The receiver's page: shows what is offered, and follows the transfer. The download itself is a
// plain link, which also works without scripts; this page never requests it.

import { $, Progress, describe, enableCopying, follow, query, showCommands, shown, size, write } from './common.js';

const id = $('receive').dataset.stream;
const OPEN = ['CREATED', 'SRC_CONNECTED'];
let total = Number.parseInt($('receive').dataset.bytes, 10);
let hasClicked = false;
let state = '';
let last = null;
let progress = null;

/** Fills in what the sender declared. `HEAD` joins nothing. */
async function showHead() {
  const response = await fetch(`/stream/${id}${query}`, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
  if (!response?.ok) return;
  const length = response.headers.get('Content-Length');
  if (length !== null) {
    total = Number(length);
    write($('size'), size(total));
  }
  const name = shown(fileName(response.headers.get('Content-Disposition') ?? ''));
  if (name) {
    write($('name'), name);
    document.title = name;
  }
  write($('type'), shown(response.headers.get('Content-Type') ?? '').split(';')[0]);
}

/** Returns the file name of a `Content-Disposition` (RFC 6266), or an empty text. */
function fileName(field) {
  const extended = field.match(/filename\*=UTF-8''([^;\s]+)/i);
  try {
    if (extended) return decodeURIComponent(extended[1]);
  } catch {
    // Invalid escapes: use the plain name.
  }
  const [, quoted, plain] = field.match(/filename="((?:[^"\\]|\\.)*)"|filename=([^;\s]+)/i) ?? [];
  return quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
}

function show(status) {
  const isNew = status.state !== state;
  state = status.state;
  last = status;
  $('receive').dataset.state = state;
  const isOpen = OPEN.includes(state);
  setOpen(isOpen);
  if (state === 'SRC_CONNECTED' && isNew) showHead();
  if (state === 'STREAMING' && isNew) progress = new Progress();
  progress?.show(status, total);
  $('moving').hidden = isOpen || !progress;
  if (status.active) return setState(status);
  const isComplete = state === 'FINISHED' && status.receipt !== 'failed';
  const { words, advice } = state === 'FINISHED' ? finished(status) : describe(status, false);
  $('state').className = `state ${isComplete ? 'good' : 'bad'}`;
  write($('state'), words);
  write($('advice'), advice);
  $('advice').hidden = !advice;
}

/** Shows the button and the commands while the receiver's side is free. */
function setOpen(isOpen) {
  $('download').hidden = !isOpen;
  $('commands').hidden = !isOpen;
}

function setState(status) {
  $('state').className = 'state';
  const words = {
    CREATED: hasClicked ? 'The download starts when the sender connects' : 'Waiting for the sender',
    SRC_CONNECTED: 'Ready to download',
    DST_CONNECTED: hasClicked ? 'Waiting for the sender' : 'A receiver is connected and waits for the sender',
    STREAMING: hasClicked ? 'Downloading' : 'A receiver is downloading; the link works once',
  };
  write($('state'), words[status.state] ?? status.state);
}

function finished(status) {
  if (status.receipt === 'failed') {
    const reason = status.receipt_error ? `: ${shown(status.receipt_error)}` : '';
    return { words: `The receiver reported a failure${reason}.`, advice: 'Ask the sender for a new link.' };
  }
  const summary = progress ? progress.summary(status.bytes_transferred) : size(status.bytes_transferred);
  const advice = hasClicked ? 'The file is in the folder for downloads of this browser.' : '';
  return { words: `Complete: ${summary}.`, advice };
}

/** The events were interrupted, or refused; without any event the words of the server remain. */
function lost(isFinal) {
  if (!state) return;
  $('state').className = `state ${isFinal ? 'bad' : ''}`;
  write($('state'), isFinal ? 'The relay no longer has this stream.' : 'Connection to the relay lost; reconnecting');
  if (isFinal) setOpen(false);
}

enableCopying();
showCommands(id);
let unfollow = follow(id, show, lost);
$('download').addEventListener('click', () => {
  hasClicked = true;
  // Firefox ends the events of a page as soon as a link is followed, even if it becomes a download.
  setTimeout(() => {
    unfollow();
    unfollow = follow(id, show, lost);
  }, 1000);
});
// The rate decreases while nothing moves.
setInterval(() => state === 'STREAMING' && progress.show(last, total), 1000);
