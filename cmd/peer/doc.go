// Command peer is a peer of a Chorus ring, and what people do with one.
//
// Each command has a file of its own, named after it. A command parses its
// flags, calls a package that does the work, and renders what comes back: as a
// table for people, or with -o json as one document a line. All of them share
//
//	execute.go     runs the command tree, turns an error into two lines and an exit status
//	settings.go    fills flags from PEER_ variables and from config.toml, and remembers who set what
//	console.go     where output goes and what it may look like
//	table.go       columns
//
// Commands that talk to a running peer do so through package overlay/client;
// those that are a peer, or start several, use overlay and netsim.
package main
