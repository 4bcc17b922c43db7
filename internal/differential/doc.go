// Package differential tests that a stack of packages changes only what it promises. It holds the
// same conversation with a bare server and with a stack in front of one.
package differential
