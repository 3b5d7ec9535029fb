export { inDays, minute } from '../platform/dates.ts';
