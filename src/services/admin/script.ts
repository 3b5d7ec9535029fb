/**
 * Takes each new state of the page from the event stream. Without JavaScript the page reloads itself each minute.
 * What the reader opened and where the focus is stays.
 */
export const SCRIPT = `
const main = document.querySelector('main');
const live = document.querySelector('#live');
const say = (state, text) => { live.dataset.state = state; live.textContent = text; };
const stream = new EventSource('/events');
stream.addEventListener('open', () => say('on', 'live'));
stream.addEventListener('error', () => say('off', 'connection lost, shown is the last known state'));
stream.addEventListener('state', ({ data }) => {
  const opened = new Map([...main.querySelectorAll('details[id]')].map((one) => [one.id, one.open]));
  const focused = document.activeElement?.id;
  main.innerHTML = data;
  for (const one of main.querySelectorAll('details[id]')) if (opened.has(one.id)) one.open = opened.get(one.id);
  if (focused) document.getElementById(focused)?.focus();
  say('on', 'live');
});
`;
