/** Icons, 20 by 20, in the colour of the text around them. They decorate: labels are beside them or on their buttons. */

const PATHS = {
  chat: 'M4 5.5A1.5 1.5 0 0 1 5.5 4h9A1.5 1.5 0 0 1 16 5.5v6a1.5 1.5 0 0 1-1.5 1.5H9l-3.5 3v-3A1.5 1.5 0 0 1 4 11.5z',
  documents: 'M6 3h5.5L15 6.5V17H6zM11.5 3v3.5H15M8.5 10h4M8.5 13h4',
  operations: 'M3 10h3l2-5 4 10 2-5h3',
  plus: 'M10 4.5v11M4.5 10h11',
  send: 'M10 16V4.5M5 9l5-5 5 5',
  stop: 'M6 6h8v8H6z',
  close: 'M5.5 5.5l9 9M14.5 5.5l-9 9',
  copy: 'M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3',
  check: 'M4.5 10.5l3.5 3.5 7.5-8',
  up: 'M7 9v7.5M7 9l3-6c1 0 2 .8 2 2v3h3.6c.9 0 1.5.8 1.3 1.7l-1.2 5.5c-.2.8-.8 1.3-1.6 1.3H7M7 9H4v7.5h3',
  down: 'M13 11V3.500M13 11l-3 6c-1 0-2-.8-2-2v-3H4.400c-.9 0-1.500-.8-1.300-1.700l1.200-5.500c.2-.8.8-1.300 1.600-1.300H13M13 11h3V3.500h-3',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  search: 'M13 13l4 4M8.500 14a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11z',
  more: 'M4.500 10h.01M10 10h.01M15.500 10h.01',
  trash: 'M4 6h12M8 6V4h4v2M5.500 6l.8 10.500h7.400L14.500 6M8.500 9v5M11.500 9v5',
  folder: 'M3 5.500h5l1.500 2H17v8H3z',
  upload: 'M10 13V4M6.500 7.500L10 4l3.500 3.500M4 13v3h12v-3',
  save: 'M10 4v9M6.500 9.500L10 13l3.500-3.500M4 13v3h12v-3',
  settings: 'M4 6h7M15 6h1M4 14h1M9 14h7M13 4v4M7 12v4',
  menu: 'M3.500 6h13M3.500 10h13M3.500 14h13',
  wide: 'M8 4H4v4M12 16h4v-4M4 4l5 5M16 16l-5-5',
  link: 'M8 6H5v9h9v-3M11 4h5v5M16 4l-7 7',
  warn: 'M10 3.500l7 12.500H3zM10 8.500v3.500M10 14h.01',
  refresh: 'M15.500 8A6 6 0 1 0 16 11.500M16 4v4h-4',
  sparkle: 'M10 3l1.700 5.300L17 10l-5.300 1.700L10 17l-1.700-5.300L3 10l5.300-1.700z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
