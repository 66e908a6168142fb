// Package rpctest holds the suite that package rpc must pass over every
// transport. It is for tests alone.
//
// A package that carries calls runs it over its own kind of stream: package rpc
// over pipes and sockets, package p2p over libp2p.
package rpctest
