module odonata

go 1.21
