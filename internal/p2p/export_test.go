package p2p

// RankDials lets tests look at the ranking.
var RankDials = rankDials

// PathOf is pathOf, for tests.
var PathOf = pathOf

// Doors is doors, for tests.
var Doors = doors
