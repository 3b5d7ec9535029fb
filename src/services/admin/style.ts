/** The whole style of the page. Colours are pairs for light and dark; text keeps 4.5:1 in both. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #fff; --line: #dfe3e8; --text: #16202b; --soft: #55616e; --link: #0b5cad;
  --good: #14713a; --good-soft: #e2f5e9; --warn: #8a5300; --warn-soft: #fdf1d8; --bad: #b3261e; --bad-soft: #fdeae8;
  --bar: #dfe5ec; --shadow: 0 1px 2px rgb(16 24 40 / 6%), 0 4px 16px rgb(16 24 40 / 5%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141a; --card: #171e26; --line: #2b3541; --text: #e7edf3; --soft: #a3b0be; --link: #7db8f5;
    --good: #6fd397; --good-soft: #12301f; --warn: #f0be62; --warn-soft: #35280e; --bad: #ff9d94; --bad-soft: #3d1a18;
    --bar: #2b3541; --shadow: none;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.wide { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header .wide { display: flex; align-items: center; gap: .75rem; padding-top: 1.25rem; padding-bottom: .25rem; }
header svg { width: 2rem; height: 2rem; flex: none; }
header b { font-size: 1.15rem; letter-spacing: -.01em; }
header .host { color: var(--soft); overflow-wrap: anywhere; }
#live { margin: 0 0 0 auto; color: var(--soft); font-size: .85rem; white-space: nowrap; }
#live::before { content: ""; display: inline-block; width: .55rem; height: .55rem; margin-right: .4rem; border-radius: 50%; background: var(--soft); }
#live[data-state="on"]::before { background: var(--good); }
#live[data-state="off"] { color: var(--bad); }
#live[data-state="off"]::before { background: var(--bad); }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; letter-spacing: -.02em; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.1rem; }
h3 { margin: 0; font-size: 1.1rem; overflow-wrap: anywhere; }
p { margin: .35rem 0; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: .25rem; }
code, .mono { font: .875em/1.5 ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; overflow-wrap: anywhere; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; }
.banner { margin-top: 1rem; padding: 1.25rem 1.4rem; border-radius: .9rem; border: 1px solid; }
.banner p:last-child { margin-bottom: 0; }
.banner.well { background: var(--good-soft); border-color: var(--good); }
.banner.well h1 { color: var(--good); }
.banner.failing { background: var(--warn-soft); border-color: var(--warn); }
.banner.failing h1 { color: var(--warn); }
.banner.emergency { background: var(--bad-soft); border-color: var(--bad); }
.banner.emergency h1 { color: var(--bad); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .9rem; box-shadow: var(--shadow); padding: 1.15rem 1.4rem; margin: 0 0 1rem; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem .75rem; }
.badge { border-radius: 99rem; padding: .1rem .65rem; font-size: .8rem; font-weight: 600; }
.badge.well { color: var(--good); background: var(--good-soft); }
.badge.failing { color: var(--warn); background: var(--warn-soft); }
.badge.emergency { color: var(--bad); background: var(--bad-soft); }
.badge.plain { color: var(--soft); background: var(--bar); }
.names { margin: .1rem 0 0; color: var(--soft); overflow-wrap: anywhere; }
.trouble { margin: .75rem 0 0; padding: .6rem .85rem; border-radius: .5rem; overflow-wrap: anywhere; }
.trouble p:first-child::first-letter { text-transform: uppercase; }
.facts + .head { margin-top: 1.25rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.trouble.failing { background: var(--warn-soft); }
.trouble.emergency { background: var(--bad-soft); }
.life { display: block; width: 100%; height: .6rem; margin: .95rem 0 .3rem; border-radius: .3rem; }
.life .all { fill: var(--bar); }
.life .well { fill: var(--good); }
.life .failing { fill: var(--warn); }
.life .emergency { fill: var(--bad); }
.life .plan { fill: var(--text); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .7rem 1.25rem; margin: .75rem 0 0; }
.facts > div { min-width: 0; }
.facts .whole { grid-column: 1 / -1; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
dd small { color: var(--soft); display: block; font-size: .82rem; }
details { margin-top: .85rem; border-top: 1px solid var(--line); padding-top: .7rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
ul.plain { list-style: none; margin: 0; padding: 0; }
.served::before { content: "✓ "; color: var(--good); font-weight: 700; }
.rejected::before { content: "✕ "; color: var(--bad); font-weight: 700; }
.pending::before { content: "… "; color: var(--warn); font-weight: 700; }
.button { display: inline-block; margin: .5rem .75rem .25rem 0; padding: .5rem 1rem; border-radius: .5rem; background: var(--link); color: var(--card); font-weight: 600; text-decoration: none; }
.button:hover { text-decoration: underline; }
pre { margin: .4rem 0; padding: .6rem .85rem; border-radius: .5rem; background: var(--page); border: 1px solid var(--line); overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: .8rem; padding: 0 1rem .4rem 0; }
td { border-top: 1px solid var(--line); padding: .5rem 1rem .5rem 0; vertical-align: top; overflow-wrap: anywhere; }
td:last-child, th:last-child { padding-right: 0; }
td.when { white-space: nowrap; color: var(--soft); }
footer { color: var(--soft); font-size: .85rem; padding: 1.25rem 0 2.5rem; }
@media (max-width: 40rem) {
  header .host { display: none; }
  thead { display: none; }
  tr { display: block; border-top: 1px solid var(--line); padding: .5rem 0; }
  tr:first-child { border-top: 0; }
  td { display: block; border: 0; padding: 0; }
  .facts { grid-template-columns: 1fr 1fr; }
}
@media print { .card { box-shadow: none; break-inside: avoid; } #live, .button { display: none; } }
`;
