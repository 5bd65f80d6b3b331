/** The operations page, which few readers ever open: loaded when somebody does. */

import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Spinner, Trouble } from '../parts/controls';

export function Operations() {
  const [View, setView] = useState<ComponentType>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    import('./operations').then((module) => setView(() => module.Operations), setError);
  }, []);
  if (error !== undefined) return <Trouble error={error} onRetry={() => location.reload()} />;
  return View ? <View /> : <Spinner />;
}
