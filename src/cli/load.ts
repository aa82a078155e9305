// Where the code of each command is: loaded only when it is asked for, so that `--help` stays
// quick.
import type { Loaders } from './commands.ts'

export const LOADERS: Loaders = {
  mount: () => import('./mount.ts'),
  unmount: () => import('./unmount.ts'),
  login: () => import('./login.ts'),
  logout: () => import('./logout.ts'),
  status: () => import('./status.ts'),
  sync: () => import('./sync.ts'),
  warm: () => import('./keep.ts').then(({ warm }) => warm),
  pin: () => import('./keep.ts').then(({ pin }) => pin),
  unpin: () => import('./keep.ts').then(({ unpin }) => unpin),
  free: () => import('./keep.ts').then(({ free }) => free),
  doctor: () => import('./doctor.ts'),
  avatar: () => import('./avatar.ts'),
  local: () => import('./local.ts'),
  completions: () => import('./completions.ts'),
}
