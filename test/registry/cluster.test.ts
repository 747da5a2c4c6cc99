import t from 'tap'
import { trySchedules } from './cluster-schedules.js'
import { skip } from './redis-server.js'

t.test('three nodes with bad connections and a Redis that dies', { skip }, t => trySchedules(t, false))
