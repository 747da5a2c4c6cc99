import t from 'tap'
import { trySchedules } from './cluster-schedules.js'
import { skip } from './redis-server.js'

t.test('three nodes, one of which is killed', { skip }, t => trySchedules(t, true))
