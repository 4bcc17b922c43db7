// Package formats tests that the Options of all packages can be read from JSON, YAML and TOML, and
// written, with the libraries that programs use for it. It is a module of its own, so that nobody
// else depends on them.
package formats
