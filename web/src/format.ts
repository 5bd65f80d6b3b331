/** Numbers, sizes and times as people read them, in the language of the page. */

import { t } from './texts';

export const number = (value: number): string => value.toLocaleString(t.value.locale);

export function bytes(value: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  let size = value / 1000;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  const digits = size < 10 && unit > 0 ? 1 : 0;
  return `${Math.max(unit ? 0 : 1, size).toLocaleString(t.value.locale, { maximumFractionDigits: digits })} ${units[unit]}`;
}

export function duration(seconds: number): string {
  const { time } = t.value;
  if (seconds < 90) return time.seconds(Math.max(0, Math.round(seconds)));
  if (seconds < 5400) return time.minutes(Math.round(seconds / 60));
  if (seconds < 129_600) return time.hours(Math.round(seconds / 3600));
  return time.days(Math.round(seconds / 86_400));
}

/** How long until then, or nothing if that is now or not known. */
export function until(when: string | undefined, now = Date.now()): string | undefined {
  const seconds = when ? (new Date(when).getTime() - now) / 1000 : Number.NaN;
  return seconds >= 2 ? duration(seconds) : undefined;
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['minute', 60],
  ['hour', 3600],
  ['day', 86_400],
];

export function ago(when: string, now = Date.now()): string {
  const seconds = (now - new Date(when).getTime()) / 1000;
  if (seconds > 6 * 86_400) {
    return new Date(when).toLocaleDateString(t.value.locale, { day: 'numeric', month: 'short', year: 'numeric' });
  }
  const format = new Intl.RelativeTimeFormat(t.value.locale, { numeric: 'auto', style: 'short' });
  const [unit, length] = [...UNITS].reverse().find(([, length]) => seconds >= length) ?? ['second' as const, 1];
  return format.format(-Math.max(0, Math.floor(seconds / length)), unit);
}

export const day = (when: string): string => new Date(when).toLocaleDateString(t.value.locale, { dateStyle: 'medium' });

/** The whole date, for a title. */
export const date = (when: string): string => new Date(when).toLocaleString(t.value.locale);
