// Package differential has the tests that hold the same conversation with a server bare and with a
// stack of packages in front of it.
package differential
