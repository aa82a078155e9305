// The webapp dialect against the local service.
import t from 'tap'
import { driveSuite } from '../../fixtures/drive-suite.ts'

driveSuite(t, {
  name: 'webapp',
  uploadNew: ['PreUpload', 'UploadPiece'],
  uploadKnown: ['PreUpload'],
  locate: 'DiskFileBatchDownload',
  fetch: 'ftn-get',
})
