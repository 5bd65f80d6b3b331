/** Prints assets/sample.html to assets/sample.pdf, with Chromium: npm run sample. */

import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
const page = await browser.newPage();
await page.goto(new URL('../assets/sample.html', import.meta.url).href);
await page.pdf({
  path: new URL('../assets/sample.pdf', import.meta.url).pathname,
  preferCSSPageSize: true,
  tagged: true,
});
await browser.close();
