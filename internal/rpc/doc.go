// Package rpc carries calls over one long-lived stream: a libp2p stream, a
// Unix socket, or anything else with Read, Write, Close and deadlines.
package rpc
