package mailserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"time"
)

// newTLSConfig returns the configuration with the certificate of the flags, or one that it makes.
func newTLSConfig(s *settings) (*tls.Config, error) {
	switch {
	case s.tlsCert == "" && s.tlsKey == "":
		certificate, err := selfSigned()
		return &tls.Config{Certificates: []tls.Certificate{certificate}}, err
	case s.tlsKey == "":
		return nil, wrongValue(
			"tls-key", "", errors.New("it takes the file of the private key when -tls-cert is given"),
		)
	case s.tlsCert == "":
		return nil, wrongValue(
			"tls-cert", "", errors.New("it takes the file of the certificate when -tls-key is given"),
		)
	}
	cert, err := readFile("tls-cert", s.tlsCert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("tls-key", s.tlsKey)
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, wrongValue("tls-cert", s.tlsCert, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
}

// readFile returns what is in the file that a flag names.
func readFile(name, path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongValue(name, path, err)
	}
	return content, nil
}

// selfSigned returns a new certificate for this machine, which no client trusts unless it is told
// to.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "imapgate example server"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
