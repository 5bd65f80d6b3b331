/** Requests to the API, and why they failed, in words. */

/** Why something failed. `status` is 0 when the server could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** How long the server asks to wait. */
    readonly waitSeconds?: number,
  ) {
    super(message);
  }

  /** Asking again later may help. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function problemOf(status: number, body: string, retryAfter: string | null): Problem {
  let code = 'unknown';
  let detail = '';
  try {
    const problem = JSON.parse(body) as { code?: string; detail?: string };
    code = problem.code ?? code;
    detail = problem.detail ?? detail;
  } catch {
    // A proxy in between answers in its own words.
  }
  const seconds = Number.parseInt(retryAfter ?? '', 10);
  const waits = (status === 429 || status === 503) && seconds >= 0;
  return new Problem(status, code, detail, waits ? seconds : undefined);
}

export class Client {
  /** Told when the key is refused. */
  onRefused: () => void = () => {};

  constructor(
    public key: string,
    /** Where the API is: empty for the page's own origin. */
    readonly base = '',
    /** What the visitor of a page calls itself: its questions open to nobody else. */
    private readonly visitor?: string,
  ) {}

  get headers(): Record<string, string> {
    const headers = { Authorization: `Bearer ${this.key}` };
    return this.visitor ? { ...headers, 'Lectern-Visitor': this.visitor } : headers;
  }

  async request(path: string, options: RequestInit = {}): Promise<Response> {
    const headers = { ...(options.headers as Record<string, string> | undefined), ...this.headers };
    let response: Response;
    try {
      response = await fetch(`${this.base}/api/v1${path}`, { ...options, headers });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Problem(0, 'unreachable', '');
    }
    if (response.ok) return response;
    if (response.status === 401) this.onRefused();
    throw problemOf(response.status, await response.text(), response.headers.get('retry-after'));
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    const response = await this.request(path, signal ? { signal } : {});
    return (await response.json()) as T;
  }

  /** `word` names what is made: sent again with the same, it is made once. */
  async send<T>(method: string, path: string, body?: unknown, word?: string): Promise<T> {
    const headers: Record<string, string> = word ? { 'Idempotency-Key': word } : {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await this.request(path, { method, headers, ...content });
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  }
}

/** Names something that is to be made. Not by `randomUUID`, which browsers keep from pages without TLS. */
export const freshWord = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** A query string of those that have a value. */
export function query(parameters: Record<string, string | number | undefined>): string {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') all.set(name, String(value));
  }
  const text = all.toString();
  return text && `?${text}`;
}
