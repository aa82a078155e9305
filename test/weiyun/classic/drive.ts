// The classic dialect against the local service.
import t from 'tap'
import { driveSuite } from '../../fixtures/drive-suite.ts'

driveSuite(t, {
  name: 'classic',
  uploadNew: ['2301', 'ftn-chunk'],
  uploadKnown: ['2301'],
  list: 'get_dir_list',
  locate: 'wy_down',
  fetch: 'ftn-get',
})
