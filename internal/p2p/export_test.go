package p2p

// RankDials lets tests look at the ranking.
var RankDials = rankDials
