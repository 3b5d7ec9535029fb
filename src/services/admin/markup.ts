import type { html } from 'hono/html';

/** What `hono/html` makes: text in which everything that was put in is escaped. */
export type Html = ReturnType<typeof html>;
