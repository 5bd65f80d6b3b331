/** Small plots: a row of bars, and bars that are stacked of parts. */

interface SparkProperties {
  values: number[];
  label: string;
}

const HIGH = 24;
const STEP = 3;

export function Spark({ values, label }: SparkProperties) {
  const max = Math.max(1, ...values);
  return (
    <svg
      class="spark"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${values.length * STEP} ${HIGH}`}
      preserveAspectRatio="none"
    >
      <title>{label}</title>
      {values.map((value, index) => {
        const height = value ? Math.max(2, (value / max) * HIGH) : 0.75;
        const x = index * STEP;
        return <rect key={x} class={value ? '' : 'is-zero'} x={x} y={HIGH - height} width={STEP - 1} height={height} />;
      })}
    </svg>
  );
}

export interface Part {
  name: string;
  label: string;
}

/** A column for each hour, of parts from the bottom up. */
export function Stacked({ rows, parts, label }: { rows: Record<string, number>[]; parts: Part[]; label: string }) {
  const high = 80;
  const step = 10;
  const sums = rows.map((row) => parts.reduce((sum, { name }) => sum + (row[name] ?? 0), 0));
  const max = Math.max(1, ...sums);
  return (
    <svg
      class="stacked"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${rows.length * step} ${high}`}
      preserveAspectRatio="none"
    >
      <title>{label}</title>
      {rows.map((row, index) => {
        let top = high;
        const x = index * step;
        const bars = parts.map(({ name }) => {
          const height = ((row[name] ?? 0) / max) * (high - 2);
          top -= height;
          return (
            height > 0 && <rect key={name} class={`part-${name}`} x={x} y={top} width={step - 3} height={height} />
          );
        });
        return (
          <g key={x}>
            {!sums[index] && <rect class="is-zero" x={x} y={high - 1} width={step - 3} height={1} />}
            {bars}
          </g>
        );
      })}
    </svg>
  );
}
