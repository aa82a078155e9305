// What a mount keeps on this machine: the state file, and the cache directory with the unsent and
// the fetched bytes, opened together and closed together.
import { join } from 'node:path'
import type { Logger } from '../base/log.ts'
import { BlockCache } from '../cache/blocks.ts'
import { lockCacheDir, openCacheDir } from '../cache/cachedir.ts'
import { Space } from '../cache/space.ts'
import { StagingArea } from '../cache/staging.ts'
import type { StateFile } from '../cache/state.ts'
import { openState } from './recover.ts'

export interface Disk {
  state: StateFile
  space: Space
  blocks: BlockCache
  staging: StagingArea
  close(): Promise<void>
}

interface DiskPlace {
  stateDir: string
  cacheDir: string
  /** In bytes. */
  cacheSize: number
  log: Logger
}

/** Rejects when another process has it open, or a newer version made it. */
export async function openDisk({ stateDir, cacheDir, cacheSize, log }: DiskPlace): Promise<Disk> {
  const lock = await lockCacheDir(cacheDir)
  try {
    await openCacheDir({ dir: cacheDir })
    const state = await openState(join(stateDir, 'state.db'), log)
    const space = new Space({ dir: cacheDir, capacity: cacheSize })
    const staging = await StagingArea.open({ dir: join(cacheDir, 'staging'), log, space })
    const blocks = await BlockCache.open({ dir: cacheDir, log, space })
    const close = async (): Promise<void> => {
      await blocks.close()
      await state.close()
      lock.release()
    }
    return { state, space, blocks, staging, close }
  } catch (error) {
    lock.release()
    throw error
  }
}
