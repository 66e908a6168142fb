// Package archtest holds the tests that read the tree instead of running it:
// every package says what it is for, no file outgrows its reader, nothing is
// left to be done later, every relative link in the documents leads somewhere,
// the tests that SECURITY.md names exist, and the cores start no goroutine.
// What may import what is golangci-lint's business (.golangci.yml).
package archtest
