/**
 * The product that the tests use: an API and a worker on ports of their own, with a database and a Redis prefix of
 * their own, twice: one answers by extraction, the other one asks `generator.ts`, which is slow and says what it is told.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { type Generator, startGenerator } from './generator';

const root = resolve(new URL('.', import.meta.url).pathname, '../..');
const binaries = process.env.LECTERN_BINARIES ?? join(root, 'target/debug');
const STARTING_MS = 60_000;

export interface Place {
  url: string;
  database: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    extracting: Place;
    generating: Place;
  }
}

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run 'make test-page'`);
  return value;
}

async function sql(database: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: database });
  await client.connect();
  await client.query(statement);
  await client.end();
}

class Product {
  private readonly name = `lectern_page_${randomBytes(4).toString('hex')}`;
  private readonly folder = mkdtempSync(join(tmpdir(), 'lectern-page-'));
  private readonly server = setting('LECTERN_TEST_DATABASE_URL');
  private readonly processes: ChildProcess[] = [];
  url = '';

  get database(): string {
    return this.server.replace(/\/[^/]*$/, `/${this.name}`);
  }

  async start(more: Record<string, string>): Promise<Place> {
    await sql(this.server, `create database ${this.name}`);
    const settings = {
      LECTERN_DATABASE_URL: this.database,
      LECTERN_REDIS_URL: setting('LECTERN_TEST_REDIS_URL'),
      LECTERN_REDIS_PREFIX: this.name,
      LECTERN_BLOBS: this.folder,
      LECTERN_LISTEN: '127.0.0.1:0',
      LECTERN_WORKER_METRICS_LISTEN: '127.0.0.1:0',
      LECTERN_WEB_DIR: join(root, 'web/dist'),
      LECTERN_GRAFANA_URL: 'http://grafana.example.org',
      ...more,
    };
    const address = await this.run('lectern-api', 'serve', settings, /listening.*?address=?"?:?"?([\d.]+:\d+)/);
    this.url = `http://${address}`;
    void this.run('lectern-worker', 'run', settings);
    await this.health();
    return { url: this.url, database: this.database };
  }

  /** Starts a program; resolves with what the pattern finds in what it says. */
  private run(program: string, command: string, settings: Record<string, string>, pattern?: RegExp): Promise<string> {
    const child = spawn(join(binaries, program), [command], { env: { ...process.env, ...settings }, stdio: 'pipe' });
    this.processes.push(child);
    let said = '';
    return new Promise((done, fail) => {
      const hear = (data: Buffer) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what colours a terminal
        said = (said + data.toString().replace(/\u001b\[[\d;]*m/g, '')).slice(-20_000);
        const found = pattern?.exec(said)?.[1];
        if (found) done(found);
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('exit', (code) => code && fail(new Error(`${program} ended with ${code}:\n${said}`)));
      child.on('error', fail);
    });
  }

  private async health(): Promise<void> {
    for (const end = Date.now() + STARTING_MS; Date.now() < end; ) {
      const response = await fetch(`${this.url}/api/v1/health`).catch(() => undefined);
      if (response?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('the product is not ready');
  }

  async stop(): Promise<void> {
    const ends = this.processes.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.processes) child.kill('SIGTERM');
    await Promise.all(ends);
    await sql(this.server, `drop database if exists ${this.name} with (force)`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const generator: Generator = await startGenerator();
  const products = [new Product(), new Product()] as const;
  const stop = async () => {
    await Promise.all(products.map((product) => product.stop()));
    await generator.stop();
  };
  try {
    const [extracting, generating] = await Promise.all([
      products[0].start({}),
      products[1].start({
        LECTERN_GENERATOR: 'openai',
        LECTERN_OPENAI_BASE_URL: generator.url,
        LECTERN_OPENAI_MODEL: 'told',
        LECTERN_CACHE: 'false',
      }),
    ]);
    project.provide('extracting', extracting);
    project.provide('generating', generating);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
